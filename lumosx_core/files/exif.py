"""The orientation in a picture's EXIF, read so that nothing in it can fail: what cannot be read means upright.

EXIF is a TIFF file without a picture (CIPA DC-008, section 4.6): two letters for the byte order, 42, the place of the first
directory, which holds entries of 12 bytes: tag, type, count, value.
"""

import re
import struct

ORIENTATION = 0x0112
_SHORT = 3
_IN_XMP = re.compile(rb"tiff:Orientation(?:=\s*[\"']|>)\s*([1-8])")


def orientation(exif: bytes | None, xmp: bytes | None = None) -> int:
    """1 (upright) to 8, as EXIF counts them; 1 if neither EXIF nor XMP says anything that can be read."""
    found = _in_exif(exif or b"")
    if found is None and (match := _IN_XMP.search(xmp or b"")):
        found = int(match[1])
    return found or 1


def _in_exif(exif: bytes) -> int | None:
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None or len(exif) < 10:
        return None
    start = struct.unpack_from(f"{order}I", exif, 4)[0]
    if start + 2 > len(exif):
        return None
    count = struct.unpack_from(f"{order}H", exif, start)[0]
    for place in range(start + 2, min(start + 2 + 12 * count, len(exif) - 11), 12):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, place)
        if tag == ORIENTATION:
            return value if kind == _SHORT and 1 <= value <= 8 else None
    return None
