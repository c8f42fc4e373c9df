"""Picture files as people have them: EXIF, colour profiles, transparent colours, formats, damage, places, permissions."""

import io
import os
import struct
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin, features

from lumosx_core.errors import InputError
from lumosx_core.files.exif import orientation
from lumosx_core.files.existing import existing_file, existing_folder
from lumosx_core.files.images import open_image, rgb_on_white, save_png
from lumosx_core.references import Attribute, ReferenceSet, Sample, Subject, prepare_reference_image
from lumosx_core.sample_folder import read_sample, write_sample

RED, BLUE, WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)
MODES = {
    "JPEG": ["L", "RGB", "CMYK"], "WEBP": ["RGB", "RGBA"], "BMP": ["1", "L", "P", "RGB", "RGBA"], "GIF": ["L", "P", "RGB"],
    "TGA": ["L", "P", "RGB", "RGBA"],
}  # fmt: skip
CASES = 4200  # random pictures


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(size: tuple[int, int], bits: int, colour: int, rows: list[bytes], *chunks: bytes) -> bytes:
    """A PNG written by hand. colour: the format's colour type (0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGBA)."""
    head = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunks) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def exif_bytes(value: int, order: str = "<") -> bytes:
    head = b"II*\0" if order == "<" else b"MM\0*"
    return b"Exif\0\0" + head + struct.pack(f"{order}IHHHIHHI", 8, 1, 0x0112, 3, 1, value, 0, 0)


def icc(kind: str) -> bytes:
    """A profile: sRGB itself, or one whose primaries are much wider (made from LittleCMS' own sRGB by exchanging red's)."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    if kind == "sRGB":
        return profile
    tags = {profile[p : p + 4]: struct.unpack(">II", profile[p + 4 : p + 12]) for p in range(132, 132 + 12 * 20, 12)}
    wide = bytearray(profile)
    p3 = {b"rXYZ": (0.5151, 0.2412, -0.0011), b"gXYZ": (0.2920, 0.6922, 0.0419), b"bXYZ": (0.1571, 0.0666, 0.7841)}
    for tag, values in p3.items():  # Display P3, adapted to D50
        place = tags[tag][0] + 8
        wide[place : place + 12] = struct.pack(">3i", *(round(value * 65536) for value in values))
    return bytes(wide)


def put(path: Path, content: bytes | Image.Image, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content.save(path, **options)
    return path


def halves() -> Image.Image:
    image = Image.new("RGB", (32, 16), BLUE)
    image.paste(RED, (0, 0, 16, 16))
    return image


# Where the left (red) half is after each orientation: a corner of it in the upright picture, as (x, y) in 0..1.
RED_AT = {1: (0, 0), 2: (1, 0), 3: (1, 1), 4: (0, 1), 5: (0, 0), 6: (0, 0), 7: (1, 1), 8: (1, 1)}


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", *(["avif"] if features.check("avif") else [])])
def test_every_orientation_is_applied_once(tmp_path: Path, suffix: str) -> None:
    for value, (x, y) in RED_AT.items():
        exif = Image.Exif()
        exif[0x0112] = value
        upright = open_image(put(tmp_path / f"{value}.{suffix}", halves(), exif=exif))
        assert upright.size == ((16, 32) if value > 4 else (32, 16)), value
        there = rgb_on_white(upright).getpixel((x * (upright.width - 1), y * (upright.height - 1)))
        assert there[0] > 200 and there[2] < 60, (value, there)
        save_png(upright, tmp_path / "again.png")
        again = open_image(tmp_path / "again.png")
        assert again.size == upright.size


def test_orientation_is_read_from_any_exif_and_nothing_in_it_can_fail() -> None:
    assert [orientation(exif_bytes(n, order)) for n in range(1, 9) for order in "<>"] == [n for n in range(1, 9) for _ in "<>"]
    assert orientation(None, b'<x tiff:Orientation="6"/>') == 6
    assert orientation(None, b"<tiff:Orientation>8</tiff:Orientation>") == 8
    assert orientation(exif_bytes(9)) == orientation(exif_bytes(0)) == orientation(b"") == 1
    rng = np.random.default_rng(0)
    for _ in range(3000):
        exif = bytearray(exif_bytes(int(rng.integers(0, 12)), "<>"[rng.integers(2)]))
        for _ in range(rng.integers(0, 5)):
            exif[rng.integers(len(exif))] = rng.integers(256)
        assert 1 <= orientation(bytes(exif[: rng.integers(len(exif) + 1)])) <= 8


@pytest.mark.parametrize(
    "broken", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"x" * 99]
)
def test_broken_exif_means_upright_and_whole_pixels(tmp_path: Path, broken: bytes) -> None:
    for suffix in ("jpg", "png", "webp"):
        image = rgb_on_white(open_image(put(tmp_path / f"x.{suffix}", halves(), exif=broken)))
        assert image.size == (32, 16) and image.getpixel((2, 8))[0] > 240 and image.getpixel((29, 8))[2] > 240
    texts = [b"Raw profile type exif\0\nexif\n 9\nzzzz", b"Raw profile type exif\0", b"Raw profile type APP1\0\n\n\xff"]
    rows = [bytes(BLUE) * 2] * 2
    for text in texts:
        assert open_image(put(tmp_path / "t.png", png((2, 2), 8, 2, rows, chunk(b"tEXt", text)))).getpixel((0, 0)) == BLUE
    hidden = b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n      32\n" + exif_bytes(6).hex().encode() + b"\n")
    rows = [bytes(BLUE) * 3]
    assert open_image(put(tmp_path / "z.png", png((3, 1), 8, 2, rows, chunk(b"zTXt", hidden)))).size == (1, 3)


def test_colours_are_those_of_the_embedded_profile(tmp_path: Path) -> None:
    wide = icc("P3")
    green, alpha = (60, 180, 75), Image.new("L", (16, 16), 200)
    for suffix, options in (("png", {}), ("jpg", {"quality": 98}), ("webp", {"lossless": True}), ("tif", {})):
        path = put(tmp_path / f"x.{suffix}", Image.new("RGB", (16, 16), green), icc_profile=wide, **options)
        image = open_image(path)
        assert np.abs(np.subtract(image.getpixel((8, 8)), (0, 185, 54))).max() <= 3, suffix
        assert not image.info  # or it would be applied again when written and read once more
    see_through = Image.new("RGB", (16, 16), green)
    see_through.putalpha(alpha)
    image = open_image(put(tmp_path / "a.png", see_through, icc_profile=wide))
    assert image.mode == "RGBA" and image.getpixel((3, 3))[3] == 200 and image.getpixel((3, 3))[0] <= 3
    palette = open_image(put(tmp_path / "p.png", Image.new("RGB", (16, 16), green).quantize(2), icc_profile=wide))
    assert rgb_on_white(palette).getpixel((8, 8))[0] <= 3
    sample = Sample(
        prompt="a hat",
        references=ReferenceSet(
            subjects=(Subject(name="", attributes=(Attribute(phrase="hat", image=open_image(tmp_path / "x.png")),)),)
        ),
    )
    back = read_sample(write_sample(tmp_path / "sample", sample)).references.subjects[0].attributes[0].image
    assert back.getpixel((8, 8)) == open_image(tmp_path / "x.png").getpixel((8, 8))


def test_profiles_that_change_nothing_or_cannot_be_used_leave_every_pixel(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    wide, plain = icc("P3"), icc("sRGB")
    for profile in (plain, b"no profile", wide[:60], b"\0" * 500, wide[:400]):
        path = put(tmp_path / "x.png", Image.fromarray(noise), icc_profile=profile)
        assert np.array_equal(np.asarray(open_image(path)), noise)
    grey = Image.fromarray(noise[..., 0])
    assert np.array_equal(np.asarray(open_image(put(tmp_path / "g.png", grey, icc_profile=wide))), noise[..., 0])
    cmyk = put(tmp_path / "c.jpg", Image.new("CMYK", (16, 16), (0, 255, 255, 0)), icc_profile=wide)
    assert rgb_on_white(open_image(cmyk)).getpixel((8, 8))[0] > 200
    deep = put(tmp_path / "d.png", Image.fromarray(np.full((4, 4), 0x8080, np.uint16)), icc_profile=wide)
    assert rgb_on_white(open_image(deep)).getpixel((1, 1)) == (128, 128, 128)
    lab = open_image(put(tmp_path / "l.tif", Image.new("LAB", (4, 4), (255, 128, 128))))
    assert min(rgb_on_white(lab).getpixel((1, 1))) > 250


@pytest.mark.parametrize(
    ("bits", "colour"), [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (8, 2), (16, 2), (1, 3), (2, 3), (4, 3), (8, 3)]
)
def test_the_transparent_colour_is_white_at_every_depth(tmp_path: Path, bits: int, colour: int) -> None:
    """Left pixel: the transparent colour, right pixel: the nearest one that is not."""
    if colour == 3:
        low, high = 1, 0
        plte, hidden = chunk(b"PLTE", bytes((*RED, *BLUE))), chunk(b"tRNS", b"\xff\0")
        row = bytes([(low << 8 - bits) | (high << 8 - 2 * bits)]) if bits < 8 else bytes([low, high])
        content = png((2, 1), bits, 3, [row], plte, hidden)
        expected = RED
    else:
        most = (1 << bits) - 1
        low, high = (1, 0) if bits < 16 else (0x1234, 0x1235)  # of 16 bits only the lower byte differs
        channels = 3 if colour == 2 else 1
        if bits < 8:
            row = bytes([(low << 8 - bits) | (high << 8 - 2 * bits)])
        else:
            row = b"".join(value.to_bytes(bits // 8, "big") * channels for value in (low, high))
        content = png((2, 1), bits, colour, [row], chunk(b"tRNS", struct.pack(">H", low) * channels))
        expected = (round(high * 255 / most),) * 3 if bits < 16 else (0x12,) * 3
    image = open_image(put(tmp_path / "x.png", content))
    assert rgb_on_white(image).getpixel((0, 0)) == WHITE
    assert np.abs(np.subtract(rgb_on_white(image).getpixel((1, 0)), expected)).max() <= 1
    save_png(image, tmp_path / "again.png")
    assert rgb_on_white(open_image(tmp_path / "again.png")).tobytes() == rgb_on_white(image).tobytes()


def test_texts_and_profiles_of_any_size_do_not_make_a_png_unreadable(tmp_path: Path) -> None:
    rows, long = [bytes(BLUE) * 2] * 2, b"workflow" * 500_000
    bomb = zlib.compress(b"\0" * (200 * 2**20))
    for name, extra in {
        "tEXt": chunk(b"tEXt", b"workflow\0" + long),
        "zTXt": chunk(b"zTXt", b"workflow\0\0" + zlib.compress(long)),
        "iTXt": chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(long)),
        "profile": chunk(b"iCCP", b"x\0\0" + zlib.compress(long)),
        "profile bomb": chunk(b"iCCP", b"x\0\0" + bomb),
        "exif bomb": chunk(b"zTXt", b"Raw profile type exif\0\0" + bomb),
        "xmp bomb": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb),
    }.items():
        started = time.monotonic()
        assert open_image(put(tmp_path / "x.png", png((2, 2), 8, 2, rows, extra))).getpixel((1, 1)) == BLUE, name
        assert time.monotonic() - started < 2


def test_other_formats_are_read_or_named(tmp_path: Path) -> None:
    for suffix, kind in {
        "jfif": "JPEG", "jpe": "JPEG", "JPG": "JPEG", "png": "JPEG", "tif": "TIFF", "tiff": "TIFF", "bmp": "BMP", "gif": "GIF",
        "tga": "TGA", "apng": "PNG",
    }.items():  # fmt: skip
        image = rgb_on_white(open_image(put(tmp_path / f"x.{suffix}", halves(), format=kind)))
        assert image.getpixel((2, 8))[0] > 240 and image.getpixel((29, 8))[2] > 240, suffix
    moving = [Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)]
    for suffix in ("gif", "webp", "png", "tif"):
        moving[0].save(path := tmp_path / f"two.{suffix}", save_all=True, append_images=moving[1:])
        assert rgb_on_white(open_image(path)).getpixel((4, 4))[0] > 240, suffix
    for name, content in {
        "x.heic": b"\0\0\0\x18ftypheic" + b"\0" * 40,
        "x.avif": b"\0\0\0\x18ftypavif" + b"\0" * 40,
        "x.jxl": b"\xff\x0a" + b"\0" * 40,
        "x.svg": b"<svg/>",
        "x.tga": b"no picture",
        "x.psd": b"8BPS" + b"\0" * 40,
    }.items():
        with pytest.raises(InputError, match=rf"{name.replace('.', '[.]')}.*(save it|pip install)"):
            open_image(put(tmp_path / name, content))


STRAY = [
    "subjects/face_woman.png", "objects/lamps/lamp.jpg", "background/old/x.webp", "subjects/1/more/hat.png",
    "Subjects/1/face_a.png", "subject/face_a.png", "object/cup.png", "Background/x.png", "backgrounds/x.png",
    "face_woman.jfif", "extra/deep/er/x.HEIC", "objects/cup", "subjects/1/hat.png.bak", "subjects/1/hat.picture",
]  # fmt: skip


@pytest.mark.parametrize("name", STRAY)
def test_no_picture_is_left_out(tmp_path: Path, name: str) -> None:
    (tmp_path / "caption.txt").write_text("a man")
    put(tmp_path / "subjects/1/face_man.png", halves())
    put(tmp_path / name, halves(), format="PNG")
    with pytest.raises(InputError, match=f"would be left out: {name}; put faces"):
        read_sample(tmp_path)


@pytest.mark.parametrize("name", ["subjects/1/hat.heic", "objects/cup.svg", "background/x.JXL", "objects/cup.psd"])
def test_pictures_in_their_place_that_cannot_be_read_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "caption.txt").write_text("a man")
    put(tmp_path / name, b"??" * 30)
    with pytest.raises(InputError, match=name):
        read_sample(tmp_path)


def test_decomposed_file_names_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "caption.txt").write_text("a man")
    for phrase in ("cafe\u0301", "a", "z"):
        put(tmp_path / f"objects/{phrase}.png", halves())
    (tmp_path / "relations.json").write_text('\ufeff{"objects": {"order": ["z.png", "caf\u00e9.png"]}}', encoding="utf-8")
    assert [item.phrase for item in read_sample(tmp_path).references.objects] == ["z", "cafe\u0301", "a"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="permissions as POSIX has them")
def test_what_may_not_be_read_is_said() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        locked, inside = put(folder / "x.png", halves()), put(folder / "closed/subjects/1/face_a.png", halves())
        put(folder / "closed/caption.txt", b"a")
        put(folder / "sample/caption.txt", b"a")
        put(folder / "sample/objects/cup.png", halves())
        for path, mode in ((folder, 0o755), (locked, 0), (folder / "closed", 0), (folder / "sample/objects", 0o311)):
            path.chmod(mode)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)  # the superuser may read everything
        try:
            for read in (
                lambda: open_image(locked),
                lambda: open_image(inside),
                lambda: existing_file(inside, "file", "x"),
                lambda: existing_folder(folder / "closed", "folder", "x"),
                lambda: read_sample(folder / "closed"),
                lambda: read_sample(folder / "sample"),
            ):
                with pytest.raises(InputError, match="cannot be read"):
                    read()
        finally:
            if root:
                os.seteuid(0)
            (folder / "closed").chmod(0o755)
            (folder / "sample/objects").chmod(0o755)
    with pytest.raises(InputError, match="cannot be read"):
        open_image("x" * 300 + ".png")
    with pytest.raises(InputError, match="cannot be read"):
        open_image("a\0b.png")


def random_picture(rng: np.random.Generator) -> tuple[str, bytes]:
    """A file name and a small picture of a random mode and format, with random notes, perhaps damaged."""
    size = (int(rng.integers(1, 9)), int(rng.integers(1, 9)))
    pixels = rng.integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    if rng.random() < 0.35:
        content = _random_png(rng, size)
        name = "x.png"
    else:
        image = Image.fromarray(pixels)
        kind = ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "TGA"][rng.integers(7)]
        modes = MODES.get(kind, ["1", "L", "LA", "P", "RGB", "RGBA"])
        mode = modes[rng.integers(len(modes))]
        image = image.convert(mode)
        options: dict = {}
        if kind in ("PNG", "JPEG", "WEBP") and rng.random() < 0.5:
            options["exif"] = _damaged(rng, exif_bytes(int(rng.integers(0, 10)), "<>"[rng.integers(2)]), 0.5)
        if kind in ("PNG", "JPEG", "WEBP", "TIFF") and rng.random() < 0.4:
            options["icc_profile"] = _damaged(rng, icc("P3"), 0.5)
        if kind == "TIFF":
            options["compression"] = [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"][rng.integers(4)]
            directory = TiffImagePlugin.ImageFileDirectory_v2()
            directory[0x0112] = int(rng.integers(1, 9))
            options["tiffinfo"] = directory
        out = io.BytesIO()
        image.save(out, format=kind, **options)
        content, name = out.getvalue(), f"x.{'tga' if kind == 'TGA' else 'jpg'}"
    return name, _damaged(rng, content, 0.6)


def _random_png(rng: np.random.Generator, size: tuple[int, int]) -> bytes:
    """Any depth and colour, with random chunks whose check sums are right, so that their content is looked at."""
    colour = int(rng.choice([0, 2, 3, 4, 6]))
    bits = int(rng.choice({0: [1, 2, 4, 8, 16], 3: [1, 2, 4, 8]}.get(colour, [8, 16])))
    length = -(-size[0] * bits * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour] // 8)
    chunks = []
    if colour == 3:
        chunks.append(chunk(b"PLTE", rng.bytes(3 * int(rng.integers(0, 1 + (1 << bits))))))
    for kind in (b"tRNS", b"iCCP", b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"gAMA", b"cHRM", b"acTL", b"pHYs", b"sRGB"):
        if rng.random() < (0.5 if kind == b"tRNS" else 0.15):
            data = rng.bytes(int(rng.choice([0, 1, 2, 3, 6, 32])))
            if kind in (b"iCCP", b"zTXt"):
                data = b"Raw profile type exif\0\0" + _damaged(rng, zlib.compress(icc("P3")), 0.3)
            chunks.append(chunk(kind, _damaged(rng, exif_bytes(6)[6:], 0.5) if kind == b"eXIf" else data))
    return png(size, bits, colour, [rng.bytes(length) for _ in range(size[1])], *chunks)


def _damaged(rng: np.random.Generator, content: bytes, chance: float) -> bytes:
    """Some bytes exchanged, cut out or put in, or the end cut off."""
    if rng.random() >= chance:
        return content
    spoilt = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        place, many = int(rng.integers(0, len(spoilt) + 1)), int(rng.integers(1, 9))
        change = rng.integers(4)
        if change == 0:
            spoilt[place : place + many] = rng.bytes(len(spoilt[place : place + many]))
        elif change == 1:
            del spoilt[place : place + many]
        elif change == 2:
            spoilt[place:place] = rng.bytes(many)
        elif rng.random() < 0.5:
            del spoilt[place:]
    return bytes(spoilt)


@pytest.mark.filterwarnings("ignore")
def test_any_file_is_a_picture_or_an_input_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(779)
    read, slowest = 0, 0.0
    for number in range(CASES):
        name, content = random_picture(rng)
        path = put(tmp_path / name, content)
        started = time.monotonic()
        try:
            image = prepare_reference_image(open_image(path), 16, 16)
            read += 1
            assert image.mode == "RGB" and image.size == (16, 16)
        except InputError as error:
            assert name in str(error), number
        except Exception as error:
            raise AssertionError(f"picture {number}: {error!r}") from error
        slowest = max(slowest, time.monotonic() - started)
    assert read > CASES // 3 and slowest < 5, (read, slowest)
