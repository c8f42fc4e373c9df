"""Reference dataclasses, and the preprocessing of a picture."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.files.images import open_image, rgb_on_white
from lumosx_core.references import (
    Attribute,
    ReferenceSet,
    Sample,
    SceneReference,
    Subject,
    prepare_reference_image,
)
from lumosx_core.sample_folder import read_sample, write_sample

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def picture(colour: tuple[int, ...] = RED, size: tuple[int, int] = (3, 2)) -> Image.Image:
    return Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour)


def test_dataclasses_check_themselves() -> None:
    hat = Attribute(phrase=" hat ", image=picture())
    assert hat.phrase == "hat"
    for build, message in [
        (lambda: Attribute(phrase=" ", image=picture()), "phrase of an attribute is empty"),
        (lambda: SceneReference(phrase="cup", image=np.zeros((2, 2, 3))), "'cup' is a ndarray, expected a PIL image"),
        (lambda: SceneReference(phrase="cup", image=Image.new("RGB", (0, 3))), "no pixels"),
        (lambda: Subject(name="man"), "subject 'man' has neither a face nor an attribute"),
        (lambda: Subject(name="", face=picture()), "subject's name is empty"),
        (lambda: Subject(name="man", attributes=(hat, hat)), "'hat' stands twice"),
        (lambda: Attribute(phrase="hat", image=picture(), tag="a b"), "tag 'a b'"),
        (lambda: Attribute(phrase="hat", image=picture(), tag="12"), "bare numbers mean subjects"),
        (lambda: Attribute(phrase="hat", image=picture(), occurrence=0), "occurrence 0"),
        (lambda: Attribute(phrase="hat", image=picture(), occurrence=True), "occurrence True"),
        (
            lambda: ReferenceSet(
                subjects=(Subject(name="man", face=picture(), tag="Bob"),),
                objects=(SceneReference(phrase="cup", image=picture(), tag="bob"),),
            ),
            "'bob' stands twice",
        ),
        (lambda: Sample(prompt=" ", references=ReferenceSet()), "prompt is empty"),
        (lambda: Sample(prompt="x", references=ReferenceSet(), sample_id="a;b"), "sample id"),
        (lambda: Attribute(phrase="hat\udcff", image=picture()), "not text"),
    ]:
        with pytest.raises(InputError, match=message):
            build()


@pytest.mark.parametrize(
    ("size", "canvas", "box"),
    [
        ((10, 10), (32, 16), (8, 0, 24, 16)),
        ((10, 5), (16, 32), (0, 12, 16, 20)),
        ((3, 2), (16, 16), (0, 3, 16, 13)),  # 16 x int(10.67), slack 6
        ((2, 3), (16, 16), (3, 0, 13, 16)),
        ((7, 7), (16, 9), (3, 0, 12, 9)),  # slack 7: floor of the half is 3
        ((4, 4), (4, 4), (0, 0, 4, 4)),
        ((1000, 1), (16, 16), (0, 7, 16, 8)),  # 0.016 px high: at least 1
        ((100, 60), (50, 50), (0, 10, 50, 40)),
    ],
)
def test_prepared_size_and_place(size: tuple[int, int], canvas: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    prepared = prepare_reference_image(picture(RED, size), *canvas)
    assert prepared.mode == "RGB" and prepared.size == canvas
    inside = np.zeros(canvas[::-1], bool)
    inside[box[1] : box[3], box[0] : box[2]] = True
    pixels = np.asarray(prepared)
    assert (pixels[inside] == RED).all() and (pixels[~inside] == 255).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 12), st.integers(1, 12))
def test_prepared_pictures_fill_one_side_and_are_centred(width: int, height: int, columns: int, rows: int) -> None:
    canvas = (16 * columns, 16 * rows)
    dark = np.asarray(prepare_reference_image(picture((0, 0, 0), (width, height)), *canvas)).max(axis=2) < 255
    left, right = (int(np.argmax(side)) for side in (dark.any(0), dark.any(0)[::-1]))
    top, bottom = (int(np.argmax(side)) for side in (dark.any(1), dark.any(1)[::-1]))
    assert 0 <= right - left <= 1 and 0 <= bottom - top <= 1
    assert min(left + right, top + bottom) <= 1  # cutting to whole pixels may lose one


def test_prepare_refuses_a_canvas_without_pixels() -> None:
    with pytest.raises(InputError, match="0x16"):
        prepare_reference_image(picture(), 0, 16)


def test_alpha_is_composited_on_white_before_scaling() -> None:
    image = Image.new("RGBA", (4, 2), (255, 0, 0, 0))
    image.putpixel((0, 0), (0, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 51))
    pixels = np.asarray(rgb_on_white(image))
    assert pixels[0, 0].tolist() == [0, 0, 0] and pixels[0, 1].tolist() == [204, 204, 204]
    assert pixels[1].tolist() == [[255, 255, 255]] * 4
    hidden = prepare_reference_image(Image.new("RGBA", (4, 4), (0, 255, 0, 0)), 16, 16)
    assert (np.asarray(hidden) == 255).all()


def modes() -> dict[str, tuple[Image.Image, list[int]]]:
    """A picture of each mode with the RGB value it must come out as."""
    palette = Image.new("P", (2, 2), 1)
    palette.putpalette([9, 9, 9, 10, 20, 30])
    see_through = palette.copy()
    see_through.info["transparency"] = 1
    keyed = Image.new("RGB", (2, 2), (1, 2, 3))
    keyed.info["transparency"] = (1, 2, 3)
    return {
        "1": (Image.new("1", (2, 2), 1), [255] * 3),
        "L": (Image.new("L", (2, 2), 77), [77] * 3),
        "LA": (Image.new("LA", (2, 2), (0, 51)), [204] * 3),
        "P": (palette, [10, 20, 30]),
        "P with a transparent colour": (see_through, [255] * 3),
        "RGB with a transparent colour": (keyed, [255] * 3),
        "PA": (Image.new("RGBA", (2, 2), (5, 5, 5, 0)).convert("PA"), [255] * 3),
        "RGBA": (Image.new("RGBA", (2, 2), (0, 0, 0, 255)), [0] * 3),
        "RGBa": (Image.new("RGBA", (2, 2), (0, 0, 0, 0)).convert("RGBa"), [255] * 3),
        "La": (Image.new("LA", (2, 2), (0, 0)).convert("La"), [255] * 3),
        "CMYK": (Image.new("CMYK", (2, 2), (0, 255, 255, 0)), [255, 0, 0]),
        "HSV": (Image.new("RGB", (2, 2), GREEN).convert("HSV"), [0, 255, 0]),
        "I;16": (Image.fromarray(np.full((2, 2), 0x8080, np.uint16)), [128] * 3),
        "I": (Image.fromarray(np.full((2, 2), 65535, np.int32)), [255] * 3),
        "F": (Image.fromarray(np.full((2, 2), 99.6, np.float32)), [100] * 3),
    }


@pytest.mark.parametrize("name", list(modes()))
def test_every_mode_becomes_rgb(name: str, tmp_path: Path) -> None:
    image, expected = modes()[name]
    assert np.asarray(rgb_on_white(image)).tolist() == [[expected] * 2] * 2
    sample = Sample(prompt="x", references=ReferenceSet(objects=(SceneReference(phrase="cup", image=image),)))
    back = read_sample(write_sample(tmp_path / "sample", sample)).references.objects[0].image
    assert np.asarray(rgb_on_white(back)).tolist() == [[expected] * 2] * 2


def test_exif_orientation_is_respected(tmp_path: Path) -> None:
    image = Image.new("RGB", (32, 16), BLUE)
    image.paste(RED, (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise: the left side is on top
    image.save(tmp_path / "x.png", exif=exif)
    upright = open_image(tmp_path / "x.png")
    for image in (upright, rgb_on_white(upright), prepare_reference_image(upright, 16, 32)):  # turned only once
        assert image.size == (16, 32)
        assert image.getpixel((8, 4)) == RED and image.getpixel((8, 28)) == BLUE
