"""Reading a picture file that nobody has checked yet, and turning any picture into plain RGB."""

import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import whole_file

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MAX_SIDE_PX = 16384
MAX_PIXELS = 2 * 89_478_485  # where PIL itself refuses; kept here because some programs switch PIL's check off


def open_image(path: str | Path) -> Image.Image:
    """Reads a PNG, JPEG or WebP file completely; EXIF orientation is applied, the mode is kept.

    The size is checked from the header, before anything is decoded.

    Raises InputError for a missing, empty, broken or truncated file, another format, and a picture above
    `MAX_SIDE_PX` on a side.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no picture at {path}; give the path of a PNG, JPEG or WebP file")
    if path.stat().st_size == 0:
        raise InputError(f"the picture {path} is an empty file (0 bytes); replace it by a PNG, JPEG or WebP file")
    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as image:
            _check_size(path, *image.size)
            image.load()
            return ImageOps.exif_transpose(image)
    except Image.DecompressionBombError as error:
        raise InputError(
            f"the picture {path} is too large to open safely ({error}); at most {MAX_SIDE_PX} pixels on a side and "
            f"{MAX_PIXELS:,} pixels are read; make it smaller"
        ) from error
    except UnidentifiedImageError as error:
        raise InputError(f"the picture {path} is not a readable PNG, JPEG or WebP file; save it again as PNG") from error
    except InputError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise InputError(f"the picture {path} is broken or cut off ({error}); save it again as PNG") from error


def rgb_on_white(image: Image.Image) -> Image.Image:
    """Any PIL picture as RGB of the same size: orientation applied, alpha composited on white, 16 bits cut to 8."""
    image = ImageOps.exif_transpose(image)
    if image.mode == "1":
        image = image.convert("L")
    if image.mode[0] in "IF":  # I;16, I;16B, I, F: PIL would clip instead of scaling
        return _from_deep_grey(image)
    if not image.has_transparency_data:
        return image.convert("RGB")
    if image.mode == "La":
        image = image.convert("LA")
    colour = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour).convert("RGB")


def save_png(image: Image.Image, path: Path) -> None:
    """Writes a PNG without loss, orientation applied; modes that PNG has not become RGB on white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = ImageOps.exif_transpose(image)
    if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        image = rgb_on_white(image)
    image.save(path, format="PNG")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.float64)
    if image.mode != "F" and (image.mode.startswith("I;16") or values.max(initial=0) > 255):
        values = values / 257.0  # 65535 -> 255
    grey = np.clip(np.round(values), 0, 255).astype(np.uint8)
    hidden = image.info.get("transparency")
    if isinstance(hidden, int):
        grey[np.asarray(image) == hidden] = 255
    return Image.fromarray(grey).convert("RGB")


def _check_size(path: Path, width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise InputError(f"the picture {path} has no pixels ({width}x{height}); replace it")
    if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        raise InputError(
            f"the picture {path} is {width}x{height} pixels; at most {MAX_SIDE_PX} on a side and {MAX_PIXELS:,} "
            "pixels are read; make it smaller"
        )


def save_image(image: Image.Image, path: Path) -> Path:
    """Write a PNG whole or not at all. Raises InputError when the disk refuses."""
    with whole_file(path, "the picture") as partial:
        image.save(partial, format="PNG")
    return path
