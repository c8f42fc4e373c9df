"""The fonts of this machine and the letters they have, found in plain Python.

Pillow's built-in font has Latin letters only. For others the usual folders of Linux, macOS and Windows are searched, once and
only when such a letter is drawn. Which letters a font has stands in its `cmap` table (OpenType specification, formats 4 and
12), which Pillow does not tell.
"""

import bisect
import io
import logging
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from PIL import ImageFont

log = logging.getLogger(__name__)

MOST_FILES = 4000  # font files that are looked at
ASKED_FIRST = 20  # fonts that are asked one by one before it is asked whether any has the letter
_LARGEST_TABLE = 2**24
_FOLDERS = (
    "/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts", "/run/host/fonts",
    "/run/current-system/sw/share/X11/fonts", "/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts", "C:/Windows/Fonts",
    "~/AppData/Local/Microsoft/Windows/Fonts",
)  # fmt: skip
_OTHER_CUTS = ("bold", "italic", "oblique", "black", "thin", "light", "medium", "condensed", "heavy", "lastresort")
_BROAD = ("notosansregular", "dejavusans", "arial", "segoeui", "liberationsansregular")  # all of Europe's letters in one font
_PLAIN_FAMILIES = (
    "notosans", "pingfang", "hiragino", "msyh", "yugoth", "meiryo", "malgun", "simhei", "sourcehansans", "wqy", "droidsans",
    "applesdgothic", "arialunicode", "segoeui", "leelawui", "tahoma", "nirmala", "dejavusans",
)  # fmt: skip
_EMOJI_FROM = 0x1F000
# What `doctor` reports: a letter of each script, and the Debian package that has them.
SCRIPTS = {
    "Chinese": ("\u7537", "fonts-noto-cjk"), "Japanese": ("\u3072", "fonts-noto-cjk"), "Korean": ("\ud55c", "fonts-noto-cjk"),
    "Thai": ("\u0e01", "fonts-noto-core"), "Arabic": ("\u0639", "fonts-noto-core"), "Hebrew": ("\u05d0", "fonts-noto-core"),
    "Hindi": ("\u0939", "fonts-noto-core"), "Cyrillic": ("\u0416", "fonts-noto-core"),
    "emoji": ("\U0001f600", "fonts-noto-color-emoji"),
}  # fmt: skip


@dataclass(frozen=True)
class FontFile:
    """A font: its file (None: Pillow's built-in one) and which of the file's faces."""

    path: Path | None
    face: int = 0

    def has(self, text: str) -> bool:
        """Are all the letters in it? Signs that only govern others (joiners, variation selectors) need not be."""
        ranges = _letters(self)
        return all(_is_in(ord(letter), ranges) for letter in text if not _governs(letter))

    def has_words(self) -> bool:
        """Is it a font for words? Those of emoji hold digits and spaces too, for other uses."""
        return self.path is not None and "emoji" not in self.path.name.lower()


BUILT_IN = FontFile(None)


@lru_cache(maxsize=65536)
def font_for(cluster: str) -> FontFile:
    """The font to draw a letter and what is joined to it with: the built-in one if it can or if nothing can."""
    if BUILT_IN.has(cluster):
        return BUILT_IN
    candidates = _fonts_of_emoji_first() if any(ord(letter) >= _EMOJI_FROM for letter in cluster) else _font_files()
    found = None
    for number, font in enumerate(candidates):
        # Once all fonts have been read in vain, one look at what they have together is enough.
        if number in (0, ASKED_FIRST) and (number or _all_letters.cache_info().currsize) and not _is_anywhere(cluster):
            break
        if font.has(cluster):
            found = font
            break
    if found is None and len(cluster) > 1:
        return font_for(cluster[0])  # better without its accent than not at all
    if found is None:
        _say_missing()
    return found or BUILT_IN


def missing_scripts() -> dict[str, str]:
    """The scripts of `SCRIPTS` that cannot be drawn on this machine, with the Debian package that has them."""
    fonts = (BUILT_IN, *_font_files())
    return {name: package for name, (letter, package) in SCRIPTS.items() if not any(font.has(letter) for font in fonts)}


@lru_cache(maxsize=256)
def sized(font: FontFile, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font at `size` pixels. A font of bitmaps comes in the size that it has: `lettering.py` scales what it draws."""
    if font.path is None:
        return ImageFont.load_default(size)
    for pixels in (size, *BITMAP_SIZES):
        try:
            return ImageFont.truetype(str(font.path), pixels, index=font.face)
        except OSError:
            continue  # "invalid pixel size"
    return ImageFont.load_default(size)


BITMAP_SIZES = (109, 136, 128, 160, 96, 64, 72, 32)  # of fonts of emoji: Noto 109 or 136, Apple 160


@lru_cache(maxsize=1)
def _say_missing() -> None:
    log.warning("no font of this machine has some letters of these words, they are drawn as boxes: see `lumosx doctor`")


@lru_cache(maxsize=1)
def _font_files() -> tuple[FontFile, ...]:
    """The upright fonts of ordinary weight, those made for screens first, in the same order on every run."""
    found: dict[Path, None] = {}
    for folder in _FOLDERS:
        for root, _, names in os.walk(os.path.expanduser(folder)):
            for name in names:
                if name.lower().endswith((".ttf", ".otf", ".ttc", ".otc")) and len(found) < MOST_FILES:
                    found[Path(root, name)] = None
    ordinary = [path for path in found if not any(cut in path.stem.lower() for cut in _OTHER_CUTS)]
    return tuple(FontFile(path, _face(path)) for path in sorted(ordinary, key=_preference))


@lru_cache(maxsize=1)
def _fonts_of_emoji_first() -> tuple[FontFile, ...]:
    return tuple(sorted(_font_files(), key=FontFile.has_words))


def _preference(path: Path) -> tuple[int, str, str]:
    name = path.stem.lower().replace(" ", "").replace("-", "")
    serifs = "serif" in name or "mono" in name or "unifont" in name
    family = next((n for n, start in enumerate(_PLAIN_FAMILIES) if name.startswith(start)), len(_PLAIN_FAMILIES))
    return -1 if name in _BROAD else family + 100 * serifs, name, str(path)


def _face(path: Path) -> int:
    """Noto's collection holds the same letters in the forms of Japan, Korea, China, Taiwan, Hong Kong; China's are taken."""
    return 2 if path.name.lower().startswith("notosanscjk") and path.suffix.lower() == ".ttc" else 0


@lru_cache(maxsize=1)
def _all_letters() -> tuple[list[int], list[int]]:
    """The ranges of characters that any font of the machine has."""
    return _merged(span for font in _font_files() for span in zip(*_letters(font), strict=True))


def _is_anywhere(text: str) -> bool:
    return all(_is_in(ord(letter), _all_letters()) for letter in text if not _governs(letter))


@lru_cache(maxsize=8192)
def _letters(font: FontFile) -> tuple[list[int], list[int]]:
    """(starts, ends) of the ranges of characters in a font, both included; empty for a file that cannot be read."""
    try:
        if font.path is None:
            built_in = getattr(ImageFont.load_default(16), "font_bytes", None)
            if built_in is None:  # a Pillow without FreeType
                return [32, 160], [126, 255]
            return _read_letters(io.BytesIO(built_in), 0)
        with font.path.open("rb") as file:
            return _read_letters(file, font.face)
    except (OSError, struct.error, ValueError, IndexError) as error:
        log.debug("the font %s cannot be read (%s)", font.path, error)
        return [], []


def _read_letters(file: BinaryIO, face: int) -> tuple[list[int], list[int]]:
    head = file.read(12)
    start = 0
    if head[:4] == b"ttcf":
        count = struct.unpack(">I", head[8:12])[0]
        start = struct.unpack(f">{count}I", file.read(4 * count))[min(face, count - 1)]
        file.seek(start)
        head = file.read(12)
    tables = file.read(16 * struct.unpack(">H", head[4:6])[0])
    for tag, _, offset, length in struct.iter_unpack(">4sIII", tables):
        if tag == b"cmap" and length <= _LARGEST_TABLE:
            file.seek(offset)
            return _read_cmap(file.read(length))
    return [], []


def _read_cmap(table: bytes) -> tuple[list[int], list[int]]:
    count = struct.unpack_from(">H", table, 2)[0]
    ranges: list[tuple[int, int]] = []
    for platform, encoding, offset in struct.iter_unpack(">HHI", table[4 : 4 + 8 * count]):
        unicode = platform == 0 or (platform == 3 and encoding in (1, 10))
        kind = struct.unpack_from(">H", table, offset)[0]
        if unicode and kind == 12:
            groups = struct.unpack_from(">I", table, offset + 12)[0]
            for first, last, glyph in struct.iter_unpack(">III", table[offset + 16 : offset + 16 + 12 * groups]):
                ranges.append((first if glyph else first + 1, last))
        elif unicode and kind == 4:
            ranges += _read_segments(table[offset:])
    return _merged(span for span in ranges if span[0] <= span[1])


def _merged(ranges: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """(starts, ends) of the union of ranges, in order."""
    merged: list[list[int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    return [span[0] for span in merged], [span[1] for span in merged]


def _read_segments(table: bytes) -> list[tuple[int, int]]:
    """The ranges of a table of format 4; in segments with a list of glyphs only those that have one."""
    count = struct.unpack_from(">H", table, 6)[0] // 2
    columns = [struct.unpack_from(f">{count}H", table, 14 + 2 * count * n + (2 if n else 0)) for n in range(4)]
    ranges: list[tuple[int, int]] = []
    for segment, (last, first, delta, offset) in enumerate(zip(*columns, strict=True)):
        if first == 0xFFFF or first > last:
            continue
        if not offset:
            ranges.append((first, last))
            continue
        place = 16 + 6 * count + 2 * segment + offset
        glyphs = struct.unpack_from(f">{last - first + 1}H", table, place)
        ranges += [(first + n, first + n) for n, glyph in enumerate(glyphs) if glyph and (glyph + delta) & 0xFFFF]
    return ranges


def _is_in(code: int, ranges: tuple[list[int], list[int]]) -> bool:
    place = bisect.bisect_right(ranges[0], code) - 1
    return place >= 0 and code <= ranges[1][place]


def _governs(letter: str) -> bool:
    code = ord(letter)
    return code < 32 or code in (0x200C, 0x200D) or 0xFE00 <= code <= 0xFE0F
