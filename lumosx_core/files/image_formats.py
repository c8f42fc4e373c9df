"""Which files are pictures: by their endings, by their first bytes, and by what the installed Pillow can read."""

from pathlib import Path

from PIL import Image

from lumosx_core.errors import InputError

READABLE_SUFFIXES = (
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".heic", ".heif", ".hif", ".tif", ".tiff",
    ".bmp", ".dib", ".gif", ".tga",
)  # fmt: skip
# What else people have as pictures: refused by name.
OTHER_SUFFIXES = (
    ".avifs", ".heics", ".jxl", ".jp2", ".j2k", ".jpx", ".svg", ".svgz", ".psd", ".psb", ".xcf", ".kra", ".ai", ".eps",
    ".ico", ".icns", ".pcx", ".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".exr", ".hdr", ".dds", ".qoi", ".dng", ".raw",
    ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".jpg_large", ".jpg-large",
)  # fmt: skip
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "HEIF", "TIFF", "BMP", "DIB", "GIF")  # as PIL calls them; TGA by its ending
_SIGNS = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF8",
    b"II*\0",
    b"MM\0*",
    b"8BPS",
    b"\0\0\0\x0cJXL ",
    b"\xff\x0a",
    b"gimp xcf",
)
_AVIF_BRANDS = (b"avif", b"avis")
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def looks_like_a_picture(path: Path) -> bool:
    """By the file's ending or its first bytes; also of formats that `open_image` refuses."""
    if path.suffix.lower() in (*READABLE_SUFFIXES, *OTHER_SUFFIXES):
        return True
    try:
        with path.open("rb") as file:
            start = file.read(16)
    except OSError:
        return False  # who wants to read it will say so
    return (
        start.startswith(_SIGNS)
        or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")
        or _brand(start) in (*_AVIF_BRANDS, *_HEIF_BRANDS)
    )


def readable_formats(path: Path, content: bytes) -> list[str]:
    """The formats that are tried on a file with this content, among those that the installed Pillow reads.

    Raises InputError for HEIC without the package that reads it.
    """
    Image.init()
    is_heic = _brand(content) in _HEIF_BRANDS and not any(brand in content[8:64] for brand in _AVIF_BRANDS)
    if is_heic and "HEIF" not in Image.OPEN:
        try:
            import pillow_heif
        except ImportError as error:
            raise InputError(
                f"the picture {path} is a HEIC file, which Pillow cannot read alone; save it as PNG or JPEG, or "
                "pip install pillow-heif"
            ) from error
        pillow_heif.register_heif_opener()
    wanted = (*FORMATS, "TGA") if path.suffix.lower() == ".tga" else FORMATS
    return [name for name in wanted if name in Image.OPEN]


def _brand(content: bytes) -> bytes:
    """What an ISO media file (HEIC, AVIF, mp4) calls itself; empty for other files."""
    return content[8:12] if content[4:8] == b"ftyp" else b""


def why_unknown(content: bytes) -> str:
    """The end of a sentence about a file that none of the formats knows: what it is, and what to do."""
    if _brand(content) in _AVIF_BRANDS:
        return "is an AVIF file that this Pillow cannot read; save it as PNG or JPEG, or pip install --upgrade pillow"
    return "is not a readable PNG, JPEG, WebP, AVIF, TIFF, BMP, GIF or TGA file; save it again as PNG"
