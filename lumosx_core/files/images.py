"""Reading a picture file that nobody has checked yet, and turning any picture into plain RGB.

`open_image` is the one door for pictures from files: orientation, colour profile and transparent colours are settled there,
so that everything behind it sees upright pixels in sRGB and never looks at a file's other notes again.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import whole_file
from lumosx_core.files.colour_profiles import to_srgb
from lumosx_core.files.exif import orientation
from lumosx_core.files.existing import existing_file
from lumosx_core.files.image_formats import readable_formats, why_unknown
from lumosx_core.files.png_chunks import SIGNATURE, PngParts, split_png

MAX_SIDE_PX = 16384
MAX_PIXELS = 2 * 89_478_485  # where PIL itself refuses; kept here because some programs switch PIL's check off
MAX_BYTES = 2**30
_ADVICE = "give the path of a PNG, JPEG or WebP file"
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90,
}  # fmt: skip


def open_image(path: str | Path) -> Image.Image:
    """Reads a picture file completely, upright and in sRGB: PNG, JPEG, WebP, TIFF, BMP, GIF and TGA, with a Pillow that can
    also AVIF, with `pillow-heif` also HEIC. Of several pictures in one file it is the first.

    The orientation of EXIF or XMP is applied (one that cannot be read means upright), an embedded colour profile is honoured
    and the mode kept unless that changes colours (`colour_profiles.py`), a transparent colour means the same at every bit
    depth. Of the file's notes only `info["transparency"]` is left. The size is checked from the header, before anything is
    decoded.

    Raises InputError for a missing, empty, unreadable, broken or truncated file, another format, and a picture above
    `MAX_SIDE_PX` on a side.
    """
    path = existing_file(path, "picture", _ADVICE)
    if (size := path.stat().st_size) > MAX_BYTES:
        raise InputError(f"the picture {path} is a file of {size / 2**30:.1f} GiB; that is too large, make it smaller")
    if size == 0:
        raise InputError(f"the picture {path} is an empty file (0 bytes); replace it by a PNG, JPEG or WebP file")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"the picture {path} cannot be read ({error}); check its permissions and its disk") from error
    try:
        return _decode(path, content)
    except (InputError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise InputError(
            f"the picture {path} is too large to open safely ({error}); at most {MAX_SIDE_PX} pixels on a side and "
            f"{MAX_PIXELS:,} pixels are read; make it smaller"
        ) from error
    except UnidentifiedImageError as error:
        raise InputError(f"the picture {path} {why_unknown(content)}") from error
    except Exception as error:  # PIL's decoders raise whatever they trip over in damaged bytes: TypeError, IndexError, ...
        raise InputError(f"the picture {path} is broken or cut off ({error}); save it again as PNG") from error


def rgb_on_white(image: Image.Image) -> Image.Image:
    """Any PIL picture as RGB of the same size: alpha composited on white, 16 bits cut to 8.

    Orientation and colour profiles are `open_image`'s: pictures opened otherwise are taken as their pixels lie.
    """
    if image.mode == "1":
        image = image.convert("L")
    if image.mode[0] in "IF":  # I;16, I;16B, I, F: PIL would clip instead of scaling
        image = _from_deep_grey(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    if image.mode == "La":
        image = image.convert("LA")
    colour = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour).convert("RGB")


def save_png(image: Image.Image, path: Path) -> None:
    """Writes a PNG without loss and without notes (no profile, no EXIF); modes that PNG has not become RGB on white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        image = rgb_on_white(image)
    image.save(path, format="PNG", icc_profile=None, exif=None)


def encoded_png(image: Image.Image) -> bytes:
    """The PNG of a picture without notes; the same bytes for the same pixels."""
    file = io.BytesIO()
    options = {"bits": 1} if image.mode == "1" else {"compress_level": 4}
    image.save(file, format="PNG", **options)
    return file.getvalue()


def encoded_jpeg(image: Image.Image, quality: int = 85) -> bytes:
    """The JPEG of a picture on white, for showing. quality: 1 to 95."""
    file = io.BytesIO()
    rgb_on_white(image).save(file, format="JPEG", quality=quality)
    return file.getvalue()


def decoded(content: bytes) -> Image.Image:
    """A picture that `encoded_png` made. Raises OSError or SyntaxError (PIL's) for damaged bytes."""
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def save_image(image: Image.Image, path: Path) -> Path:
    """Write a PNG whole or not at all. Raises InputError when the disk refuses."""
    with whole_file(path, "the picture") as partial:
        image.save(partial, format="PNG")
    return path


def _decode(path: Path, content: bytes) -> Image.Image:
    parts = split_png(content) if content.startswith(SIGNATURE) else None
    with Image.open(io.BytesIO(parts.pixels if parts else content), formats=readable_formats(path, content)) as stored:
        _check_size(path, *stored.size)
        stored.load()
        notes: dict[Any, Any] = dict(stored.info)
        turned = 1  # PIL turns TIFF by itself
        if stored.format != "TIFF":
            exif = parts.exif if parts and not notes.get("exif") else notes.get("exif")
            turned = orientation(exif, parts.xmp if parts else notes.get("xmp"))
        image = stored.copy()
    image.info = {"transparency": notes["transparency"]} if "transparency" in notes else {}
    if parts:
        image = _with_transparent_colour(image, parts)
    if image.mode == "LAB":
        image = _from_lab(image)
    profile = parts.profile if parts else notes.get("icc_profile")
    if profile:
        flat = _from_deep_grey(image) if image.mode.startswith("I;16") else image
        converted = to_srgb(flat, profile, str(path))
        image = image if converted is flat else converted
    return image.transpose(_UPRIGHT[turned]) if turned in _UPRIGHT else image


def _with_transparent_colour(image: Image.Image, parts: PngParts) -> Image.Image:
    """A PNG's transparent colour in the depth that PIL gives the pixels, since PIL leaves it in the file's depth."""
    hidden = image.info.get("transparency")
    most = (1 << parts.bits) - 1
    if isinstance(hidden, tuple) and image.mode == "RGB":
        hidden = tuple(value & most for value in hidden)
        if parts.bits == 8:
            image.info["transparency"] = hidden
            return image
        del image.info["transparency"]
        low = _low_bytes(parts)
        high_is, low_is = ([value >> 8 for value in hidden], [value & 255 for value in hidden])
        same = (np.asarray(image) == high_is).all(2) & (np.asarray(low) == low_is).all(2)
        image.putalpha(Image.fromarray(np.where(same, 0, 255).astype(np.uint8)))
    elif isinstance(hidden, int) and image.mode in ("1", "L"):
        image = image.convert("L")  # keeps the note
        image.info["transparency"] = (hidden & most) * 255 // most
    elif isinstance(hidden, int) and image.mode[0] == "I":
        image.info["transparency"] = hidden & most
    return image


def _low_bytes(parts: PngParts) -> Image.Image:
    """The lower 8 bits of a PNG with 16 bits per channel, which PIL cuts off: read as if they were the upper ones."""
    with Image.open(io.BytesIO(parts.pixels), formats=("PNG",)) as stored:
        stored.tile = [("zip", (0, 0, *stored.size), stored.tile[0][2], "RGB;16L")]  # type: ignore[list-item]
        stored.load()
        return stored.copy()


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms

    spaces = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.applyTransform(image, ImageCms.buildTransform(*spaces, "LAB", "RGB")) or image


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """A picture of 16 or 32 bits as L, or LA if it has a transparent value."""
    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    if image.mode == "F":
        values = values * 255.0 if values.max(initial=0) <= 1 else values
    elif image.mode.startswith("I;16") or values.max(initial=0) > 255:
        values = values / 257.0  # 65535 -> 255
    grey = Image.fromarray(np.clip(np.round(values), 0, 255).astype(np.uint8))
    hidden = image.info.get("transparency")
    if isinstance(hidden, int):
        grey.putalpha(Image.fromarray(np.where(np.asarray(image) == hidden, 0, 255).astype(np.uint8)))
    return grey


def _check_size(path: Path, width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise InputError(f"the picture {path} has no pixels ({width}x{height}); replace it")
    if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        raise InputError(
            f"the picture {path} is {width}x{height} pixels; at most {MAX_SIDE_PX} on a side and {MAX_PIXELS:,} "
            "pixels are read; make it smaller"
        )
