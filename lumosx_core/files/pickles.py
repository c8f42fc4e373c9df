"""Files of torch.save, of every age. They are read with weights_only=True and never otherwise: no code of theirs runs."""

import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.file_kinds import LEGACY_PICKLE, first_bytes, looks_like_safetensors, stranger
from lumosx_core.files.stored import StoredTensor

MAPPED_AT_ONCE = 2**29  # bytes read from a mapped file before it is mapped anew, which gives its pages back
SHOWN = 200  # characters of an error of a library
DAMAGED = "copy or download it again, it may be cut short"


def read_pickle(path: str | Path, what: str = "the PyTorch file") -> Mapping:
    """The dictionary in a file of torch.save, its tensors on the CPU.

    Raises InputError, which names `what` and the path, if it is missing, unreadable, empty, something else (a pointer of git
    LFS, a web page, GGUF, an archive, safetensors), cut short, damaged, holds more than tensors and plain values, or no
    dictionary.
    """
    path = Path(path)
    begins = _checked_beginning(path, what)
    return _dictionary(_load(path, f"{what} {path}", mapped=_is_zip(begins)), path, what)


def is_pickle(begins: bytes) -> bool:
    """Whether a file with this beginning may be one of torch.save."""
    return _is_zip(begins) or begins[:1] == b"\x80"


def open_pickle(path: Path, what: str) -> Mapping:
    """As `read_pickle`, with StoredTensors instead of tensors, in dictionaries only; of other values nothing is kept."""
    begins = _checked_beginning(path, what)
    return _Pickle(path, what, mapped=_is_zip(begins)).tree()


def load_bytes(content: bytes, source: str) -> Any:
    """What torch.save put into these bytes. Raises InputError, which names `source`."""
    return _load(io.BytesIO(content), source, mapped=False)


class _Pickle:
    """An open file: mapped into memory where its format allows it, and mapped anew now and then."""

    def __init__(self, path: Path, what: str, *, mapped: bool) -> None:
        self.path, self.what, self.mapped = path, what, mapped
        self.read_bytes = 0
        self.content: Any = None

    def _root(self) -> Mapping:
        if self.content is None:
            self.content = _dictionary(_load(self.path, f"{self.what} {self.path}", mapped=self.mapped), self.path, self.what)
            self.read_bytes = 0
        return self.content

    def tree(self) -> Mapping:
        """The dictionaries and tensors of the file."""
        size = self.path.stat().st_size
        return self._branch(self._root(), (), [], size)

    def _branch(self, content: Mapping, place: tuple, above: list[int], size: int) -> dict:
        if id(content) in above:
            raise InputError(f"{self.what} {self.path} holds a dictionary that holds itself; get the weights as .safetensors")
        found: dict = {}
        for key, value in content.items():
            if isinstance(value, torch.Tensor):
                found[key] = self._stored((*place, key), value, size)
            elif isinstance(value, Mapping) and len(above) < 16:
                found[key] = self._branch(value, (*place, key), [*above, id(content)], size)
        return found

    def _stored(self, place: tuple, value: torch.Tensor, size: int) -> StoredTensor:
        where = f"{self.what} {self.path}: {'.'.join(map(str, place))[:SHOWN]}"
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
            raise InputError(f"{where} is a quantised, sparse or empty tensor, expected plain numbers; get other weights")
        if value.numel() * value.element_size() > max(size, value.untyped_storage().nbytes()):
            raise InputError(f"{where} of shape {tuple(value.shape)} is larger than what the file stores; {DAMAGED}")

        def read(share: float = 1.0) -> torch.Tensor:
            if self.read_bytes > MAPPED_AT_ONCE and self.mapped:
                self.content = None
            tensor: Any = self._root()
            for key in place:
                tensor = tensor[key]
            self.read_bytes += int(tensor.numel() * tensor.element_size() * share)
            return tensor.detach()

        def part(start: int, stop: int) -> torch.Tensor:
            return read((stop - start) / value.numel()).reshape(-1)[start:stop]

        whole = not value.is_contiguous()  # such a tensor would be copied for every part
        return StoredTensor(tuple(value.shape), value.dtype, read, None if whole else part)


def _is_zip(begins: bytes) -> bool:
    return begins.startswith(b"PK\x03\x04")


def _checked_beginning(path: Path, what: str) -> bytes:
    begins = first_bytes(path, what)
    if said := stranger(begins):
        raise InputError(f"{what} {path} {said}")
    if looks_like_safetensors(begins):
        raise InputError(f"{what} {path} is a safetensors file; rename it so that it ends in .safetensors")
    if not is_pickle(begins):
        raise InputError(f"{what} {path} is no file of torch.save: it begins with {begins[:8].hex(' ')}; give the right file")
    return begins


def _dictionary(content: Any, path: Path, what: str) -> Mapping:
    if not isinstance(content, Mapping):
        raise InputError(f"{what} {path} holds a {type(content).__name__}, expected a dictionary of tensors")
    return content


def _load(file: Path | BinaryIO, source: str, *, mapped: bool) -> Any:
    try:
        if isinstance(file, Path) and file.suffix == ".safetensors":  # torch.load goes by the name
            with open(file, "rb") as opened:
                return torch.load(opened, map_location="cpu", weights_only=True)
        return torch.load(file, map_location="cpu", weights_only=True, mmap=True if mapped else None)
    except MemoryError as error:
        raise InputError(f"{source} does not fit into memory, or is damaged; {DAMAGED}") from error
    except Exception as error:  # a damaged file makes torch raise nearly everything
        text = str(error)
        found = re.search(r"GLOBAL ([\w.]+)", text)
        if found or _is_plain_pickle(file):
            raise InputError(
                f"{source} holds Python objects besides tensors ({found[1][:SHOWN] if found else 'or is damaged'}) and was not "
                "loaded, since such a file can run any code; get the weights as .safetensors"
            ) from error
        if not isinstance(error, OSError) and "data.pkl" in text:
            raise InputError(
                f"{source} is a ZIP archive, but none of torch.save; unpack it and give the file inside"
            ) from error
        reason = f"{type(error).__name__}: {text.splitlines()[0][:SHOWN]}" if text and "weights_only" not in text else "damaged"
        raise InputError(f"{source} cannot be read as a file of torch.save ({reason}); {DAMAGED}") from error


def _is_plain_pickle(file: Path | BinaryIO) -> bool:
    """Whether it is a pickle without the frame that torch.save puts around one."""
    begins = first_bytes(file) if isinstance(file, Path) else b""
    return begins[:1] == b"\x80" and not begins.startswith(LEGACY_PICKLE)
