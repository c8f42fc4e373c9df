"""The chunks of a PNG file: what is beside the pixels (texts, a colour profile) is set apart before PIL sees the file.

PIL refuses a PNG whose text or profile unpacks to more than 1 MB, though its pixels are whole; ComfyUI writes workflows of
that size into its pictures. The format: W3C, Portable Network Graphics (PNG) Specification, third edition, section 5.
"""

import struct
import zlib
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_UNPACKED = 32 * 2**20  # bytes of a profile or of a text with EXIF; what unpacks to more is left out
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_EXIF_KEYWORDS = (b"Raw profile type exif", b"Raw profile type APP1")
_XMP_KEYWORD = b"XML:com.adobe.xmp"


@dataclass(frozen=True, kw_only=True)
class PngParts:
    """pixels: the file without texts and profile. bits: per channel, 1 to 16 (0 if the file is too short to say)."""

    pixels: bytes
    bits: int
    profile: bytes | None
    exif: bytes | None  # the EXIF that old programs hide in a text
    xmp: bytes | None


def split_png(content: bytes) -> PngParts:
    """Sets apart what a PNG holds beside its pixels. Never fails: a damaged rest stays as it is, for PIL to judge."""
    kept = [content[:8]]
    profile = exif = xmp = None
    place = 8
    while place + 12 <= len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        stop = place + 12 + length
        if stop > len(content):
            break
        data = content[place + 8 : stop - 4]
        if kind == b"iCCP":
            profile = _unpacked(data.partition(b"\0")[2][1:])
        elif kind in _TEXTS:
            keyword, text = _text(kind, data)
            if keyword in _EXIF_KEYWORDS and text is not None:
                exif = _from_hex(text)
            elif keyword == _XMP_KEYWORD:
                xmp = text
        else:
            kept.append(content[place:stop])
        place = stop
    kept.append(content[place:])
    bits = content[24] if len(content) > 24 else 0
    return PngParts(pixels=b"".join(kept), bits=bits, profile=profile, exif=exif, xmp=xmp)


def _text(kind: bytes, data: bytes) -> tuple[bytes, bytes | None]:
    """(keyword, text) of a text chunk; the text is only unpacked where it may be of use, None where it cannot be."""
    keyword, _, rest = data.partition(b"\0")
    if keyword not in (*_EXIF_KEYWORDS, _XMP_KEYWORD):
        return keyword, None
    if kind == b"tEXt":
        return keyword, rest
    if kind == b"zTXt":
        return keyword, _unpacked(rest[1:])
    text = (rest[2:].split(b"\0", 2) + [b"", b""])[2]  # after the language and the translated keyword
    return keyword, _unpacked(text) if rest[:1] == b"\1" else text


def _unpacked(data: bytes) -> bytes | None:
    """The bytes of a zlib stream; None if it is damaged or unpacks to more than `MOST_UNPACKED`."""
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(data, MOST_UNPACKED)
    except zlib.error:
        return None
    return content if unpacker.eof else None


def _from_hex(text: bytes) -> bytes | None:
    """What ImageMagick writes as a text: a name, a length, then hex digits, on lines of their own."""
    try:
        return bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))
    except ValueError:
        return None
