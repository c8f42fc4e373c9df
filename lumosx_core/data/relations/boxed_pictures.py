"""Frames as a language model sees them: small JPEG files with a numbered box around each person."""

from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

from lumosx_core.eyes import Box
from lumosx_core.files.images import encoded_jpeg

COLOURS = ((230, 25, 75), (0, 130, 200), (60, 180, 75), (245, 130, 48), (145, 30, 180), (0, 128, 128))  # of box 1, 2, ...
LONGEST_SIDE = 768  # pixels; more costs tokens and shows no more


def boxed_picture(frame: Image.Image, boxes: Mapping[int, Box], *, longest_side: int = LONGEST_SIDE) -> bytes:
    """A frame as JPEG, at most `longest_side` pixels long, with boxes drawn in (number -> left, top, right, bottom in pixels of
    the frame). The number stands in the box's upper left corner, white on the box's colour."""
    scale = min(1.0, longest_side / max(frame.size))
    size = (max(1, round(frame.width * scale)), max(1, round(frame.height * scale)))
    picture = frame.convert("RGB").resize(size, Image.Resampling.BICUBIC) if scale < 1 else frame.convert("RGB")
    draw = ImageDraw.Draw(picture)
    line = max(2, round(max(size) / 200))
    height = max(12, round(max(size) / 30))
    font = ImageFont.load_default(size=height)
    for number, box in sorted(boxes.items()):
        colour = COLOURS[(number - 1) % len(COLOURS)]
        left, top, right, bottom = (round(value * scale) for value in box)
        draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour, width=line)
        wide = round(draw.textlength(str(number), font=font)) + 6
        draw.rectangle((left, top, left + wide, top + height + 4), fill=colour)
        draw.text((left + 3, top + 1), str(number), fill=(255, 255, 255), font=font)
    return encoded_jpeg(picture, quality=90)
