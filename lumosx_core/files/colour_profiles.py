"""Embedded colour profiles (ICC): a picture's numbers become the sRGB numbers of the same colours.

Phones write Display P3, cameras Adobe RGB, scanners grey and CMYK profiles. Taken for sRGB such pictures reach the model
too pale, or with other hues. The conversion is LittleCMS, which Pillow brings along (`PIL.ImageCms`).
"""

import io
import logging

import numpy as np
from PIL import Image

log = logging.getLogger(__name__)

AS_GOOD_AS_SRGB = 2  # of 255: a profile that changes no colour by more is sRGB itself, and the picture stays bit for bit
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}


def to_srgb(image: Image.Image, profile: bytes, source: str) -> Image.Image:
    """The picture with its colours in sRGB, alpha untouched; the picture itself if they are so already.

    image: mode 1, L, LA, P, PA, RGB, RGBA, CMYK or LAB; others stay as they are. A profile that cannot be read, or is one of
    another kind than the picture (of CMYK for an RGB picture), is logged with `source` and leaves the colours alone.
    """
    from PIL import ImageCms

    colour, alpha = _without_alpha(image)
    if colour.mode not in _SPACES:
        return image
    try:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = embedded.profile.xcolor_space.strip()
        if space != _SPACES[colour.mode]:
            raise ValueError(f"it is a profile of {space}, the picture is {colour.mode}")
        transform = ImageCms.buildTransform(
            embedded,
            ImageCms.createProfile("sRGB"),
            colour.mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        if colour.mode in ("L", "RGB") and _changes_nothing(transform, colour.mode):
            return image
        result = ImageCms.applyTransform(colour, transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, ImportError) as error:
        log.warning("the colour profile of %s cannot be used (%s); its colours are taken for sRGB", source, error)
        return image
    if result is None:  # never: applyTransform gives a picture unless told to work in place
        return image
    result.info = {}  # the profile that was embedded is not the picture's any more
    if alpha is not None:
        result.putalpha(alpha)
    return result


def _without_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """(colours in a mode that profiles are made for, alpha or None)."""
    if image.mode == "1":
        image = image.convert("L")
    if image.mode in ("P", "PA") or (image.mode in ("L", "RGB") and "transparency" in image.info):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode in ("LA", "RGBA"):
        return image.convert(image.mode[:-1]), image.getchannel("A")
    return image, None


def _changes_nothing(transform: object, mode: str) -> bool:
    from PIL import ImageCms

    if mode == "L":
        probe = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    else:
        steps = np.arange(0, 256, 17, dtype=np.uint8)
        probe = Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), -1).reshape(64, 64, 3))
    converted = ImageCms.applyTransform(probe, transform)  # type: ignore[arg-type]
    difference = np.asarray(converted, np.int16) - np.asarray(probe.convert("RGB"), np.int16)
    return int(np.abs(difference).max()) <= AS_GOOD_AS_SRGB
