"""What a file is, told from its first bytes: for messages about files that are taken for weights."""

from pathlib import Path

from lumosx_core.errors import InputError

READ = 512  # bytes that are looked at
LEGACY_PICKLE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # torch.save before version 1.6
# How a file begins -> what it is and what to do about it.
STRANGERS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "is a pointer of git LFS, not the file itself; run 'git lfs pull', or download the file"),
    (b"GGUF", "is a GGUF file (quantised weights), which is not read here; get the weights as .safetensors"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive; unpack it and give the file inside"),
    (b"Rar!", "is a RAR archive; unpack it and give the file inside"),
    (b"\x1f\x8b", "is a gzip archive; unpack it and give the file inside"),
    (b"BZh", "is a bzip2 archive; unpack it and give the file inside"),
    (b"\xfd7zXZ\x00", "is an xz archive; unpack it and give the file inside"),
    (b"\x28\xb5\x2f\xfd", "is a zstd archive; unpack it and give the file inside"),
    (b"\x89HDF", "is an HDF5 file, which is not read here; get the weights as .safetensors"),
    (b"\x93NUMPY", "is a NumPy array, which is not read here; get the weights as .safetensors"),
    (b"\x89PNG", "is a picture"),
    (b"\xff\xd8\xff", "is a picture"),
    (b"lmgg", "is a GGML file (quantised weights), which is not read here; get the weights as .safetensors"),
)


def first_bytes(path: Path, what: str = "the file") -> bytes:
    """The beginning of a file. Raises InputError, naming `what`, if it is missing, a folder, no file or cannot be read."""
    try:
        if not path.exists():
            raise InputError(f"there is no file {path} ({what})")
        if not path.is_file():
            raise InputError(f"{path} is {'a folder' if path.is_dir() else 'no file'}, expected {what}")
        with open(path, "rb") as file:
            return file.read(READ)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {what} {path} ({error}); check its name and permissions") from error


def stranger(begins: bytes) -> str | None:
    """What a file is that holds no weights for us ("is a web page; ..."), or None if it may hold some."""
    if not begins:
        return "is empty (0 bytes); download or copy it again"
    if not any(begins):
        return "begins with zeros only, a download that was not finished; download or copy it again"
    for start, said in STRANGERS:
        if begins.startswith(start):
            return said
    text = begins.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<!--")):
        return "is a web page (HTML), not the file itself; download it again with the link of the file"
    if looks_like_safetensors(begins):
        return None
    if text[:1] in (b"{", b"[") and all(byte >= 32 or byte in b"\t\r\n" for byte in text):
        return "is a JSON text, not weights; give the .safetensors or .pt file"
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in begins):
        return "is a text file, not weights; download it again with the link of the file"
    return None


def looks_like_safetensors(begins: bytes) -> bool:
    """Whether a file begins as safetensors files do: the header's length, then JSON."""
    return len(begins) > 8 and begins[8:9] == b"{" and int.from_bytes(begins[:8], "little") < 2**32
