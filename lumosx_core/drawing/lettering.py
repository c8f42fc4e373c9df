"""Words in pictures: drawn with fonts that have their letters, cut and wrapped to a width, in any script.

A text is split into runs of one font; each run is shaped as a whole, so that Arabic letters join and Thai vowels sit where they
belong, and runs of right-to-left scripts are put in their visual order (the coarse form of the Unicode bidirectional algorithm:
levels of whole runs). Texts are one line here: white space of any kind is drawn as a space. Sizes and places are pixels.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from lumosx_core.drawing.fonts import BUILT_IN, FontFile, font_for, sized

RGB = tuple[int, int, int]

DOTS = "..."
_MOST_DRAWN = 4000  # letters of one line: more than any picture is wide
_INVISIBLE = {*range(0x202A, 0x202F), *range(0x2060, 0x2070), 0x00AD, 0x061C, 0x200B, 0x200E, 0x200F, 0xFEFF}
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")  # Thai, Lao, Burmese, Khmer
_NOT_FIRST = set(")]}!?,.:;\u3001\u3002\uff0c\uff0e\uff01\uff1f\uff1a\uff1b\uff09\u300d\u300f\u3011\u300b\u30fc\u3005")


def draw_text(canvas: Image.Image, xy: tuple[float, float], text: str, size: int, fill: RGB | str, anchor: str = "la") -> None:
    """Draw one line of text into an RGB picture. anchor: Pillow's: l, m, r and a (top of the letters), m, d (bottom)."""
    runs = _runs(_plain(text))
    draw = ImageDraw.Draw(canvas)
    if len(runs) == 1 and runs[0][1] == BUILT_IN:
        draw.text(xy, runs[0][0], fill=fill, font=font(size), anchor=anchor)
        return
    ascent, descent = _metrics(size)
    x = xy[0] - {"l": 0.0, "m": 0.5, "r": 1.0}[anchor[0]] * text_width(text, size)
    baseline = xy[1] + {"a": ascent, "m": (ascent - descent) / 2, "d": -descent}[anchor[1]]
    for place in visual_order([is_right_to_left(run) for run, _ in runs], is_right_to_left(text)):
        run, file = runs[place]
        face, scale = _face(file, size)
        if scale == 1.0:
            draw.text((x, baseline), run, fill=fill, font=face, anchor="ls", embedded_color=True)
        else:
            _draw_scaled(canvas, (x, baseline), run, face, scale, fill)
        x += _run_width(run, file, size)


@lru_cache(maxsize=8192)
def text_width(text: str, size: int) -> float:
    """Pixels that `draw_text` takes for it."""
    return sum(_run_width(run, file, size) for run, file in _runs(_plain(text)))


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's built-in font at `size` pixels: the same on every machine."""
    return sized(BUILT_IN, size)


def fit_text(text: str, size: int, width: float, keep: int = 0) -> str:
    """The text, cut in the middle with dots so that it is at most `width` pixels wide: beginning and end tell things apart.

    keep: letters at the beginning that are never cut ("Subject 2: ").
    """
    return _cut_to_fit(text, keep, _letters_at_most(size, width), lambda shown: text_width(shown, size) <= width)


def fit_lines(text: str, size: int, width: float, most: int, keep: int = 0) -> list[str]:
    """The text wrapped into at most `most` lines, cut in the middle as `fit_text` does where that is not enough."""
    letters = most * _letters_at_most(size, width)
    shown = _cut_to_fit(text, keep, letters, lambda shown: len(wrap(shown, size, width, most + 1)) <= most)
    return [shown[start:stop].strip() for start, stop in wrap(shown, size, width, most)]


def wrap(text: str, size: int, width: float, most: int | None = None) -> list[tuple[int, int]]:
    """(start, stop) of every line of the text, at most `most`: broken after white space, between letters of scripts without
    spaces, and inside words only where one is wider than the line. White space at the end of a line may stand out."""
    lines: list[tuple[int, int]] = []
    start, used = 0, 0.0
    for begin, end in _pieces(text):
        wide = text_width(text[begin:end].rstrip(), size)
        if used and used + wide > width:
            lines.append((start, begin))
            start, used = begin, 0.0
        while wide > width:  # one word, longer than a line
            fits = _letters_that_fit(text[start:end], size, width)
            if fits >= end - start:
                break
            lines.append((start, start + fits))
            start += fits
            wide = text_width(text[start:end].rstrip(), size)
            if most is not None and len(lines) >= most:
                break
        if most is not None and len(lines) >= most:
            return lines[:most]
        used += wide if start > begin else text_width(text[begin:end], size)
    lines.append((start, len(text)))
    return lines[:most]


def is_right_to_left(text: str) -> bool:
    """By the first letter that has a direction."""
    return next((kind != "L" for kind in map(unicodedata.bidirectional, text) if kind in ("L", "R", "AL")), False)


def visual_order(right_to_left: Sequence[bool], base: bool = False) -> list[int]:
    """The parts of a line from left to right, given which of them run right to left and whether the whole line does."""
    levels = [1 if part else 2 if base else 0 for part in right_to_left]
    order = list(range(len(levels)))
    for level in (2, 1):
        start = 0
        while start < len(order):
            stop = start
            while stop < len(order) and levels[order[stop]] >= level:
                stop += 1
            order[start:stop] = reversed(order[start:stop])
            start = stop + 1
    return order


def _plain(text: str) -> str:
    """One line, composed, without signs that only steer others; lone surrogates as the replacement sign."""
    text = unicodedata.normalize("NFC", text[:_MOST_DRAWN])
    shown = (" " if unicodedata.category(c) in ("Cc", "Zs", "Zl", "Zp") else c for c in text if ord(c) not in _INVISIBLE)
    return "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in shown)


@lru_cache(maxsize=4096)
def _runs(text: str) -> list[tuple[str, FontFile]]:
    """The text in runs of one font each, in logical order."""
    runs: list[tuple[str, FontFile]] = []
    for word in re.findall(r" +|[^ ]+", text):
        for run, file in _runs_of_word(word):
            if runs and runs[-1][1] == file:
                runs[-1] = (runs[-1][0] + run, file)
            elif len(runs) > 1 and runs[-1][0].isspace() and runs[-2][1] == file and file.has_words():
                space = runs.pop()[0]  # between two words of one font: one run, so that right-to-left words keep their order
                runs[-1] = (runs[-1][0] + space + run, file)
            else:
                runs.append((run, file))
    return runs


def _runs_of_word(word: str) -> list[tuple[str, FontFile]]:
    """One font for all of it where one has all its letters, so that an accent does not stand out."""
    if BUILT_IN.has(word):
        return [(word, BUILT_IN)]
    clusters = _clusters(word)
    files = [font_for(cluster) for cluster in clusters]
    other = next((file for file in files if file != BUILT_IN), BUILT_IN)
    if other.has_words() and other.has(word):
        return [(word, other)]
    return list(zip(clusters, files, strict=True))


def _clusters(text: str) -> list[str]:
    """Letters with the marks and joined signs that belong to them."""
    clusters: list[str] = []
    for letter in text:
        joined = unicodedata.category(letter)[0] == "M" or letter in "\u200c\u200d" or "\U0001f3fb" <= letter <= "\U0001f3ff"
        if clusters and (joined or clusters[-1][-1] == "\u200d"):
            clusters[-1] += letter
        else:
            clusters.append(letter)
    return clusters


def _pieces(text: str) -> list[tuple[int, int]]:
    """(start, stop) of what a line break must not part; the white space after a word belongs to it."""
    ends = []
    for place in range(1, len(text)):
        last, following = text[place - 1], text[place]
        if following.isspace() or unicodedata.combining(following) or following in _NOT_FIRST:
            continue
        if last.isspace() or _breaks_anywhere(last) or _breaks_anywhere(following):
            ends.append(place)
    return list(zip([0, *ends], [*ends, len(text)], strict=True)) if text else []


@lru_cache(maxsize=8192)
def _breaks_anywhere(letter: str) -> bool:
    if _UNSPACED.match(letter):
        return unicodedata.category(letter)[0] != "M"
    return unicodedata.east_asian_width(letter) in ("W", "F")


def _cut_to_fit(text: str, keep: int, most: int, fits: Callable[[str], bool]) -> str:
    """The longest form of the text that fits, its middle replaced by dots; of what is cut at most `most` letters stay."""
    if len(text) <= _MOST_DRAWN and fits(text):
        return text
    rest = text[keep:]
    if len(rest) > 2 * _MOST_DRAWN:
        rest = rest[:_MOST_DRAWN] + rest[-_MOST_DRAWN:]
    letters = _clusters(rest)

    def cut(count: int) -> str:
        head, tail = letters[: (count + 1) // 2], letters[len(letters) - count // 2 :]
        return text[:keep] + "".join(head).rstrip() + DOTS + "".join(tail).lstrip()

    return cut(_most_that_fit(min(most, len(letters) - 1), lambda count: fits(cut(count))))


def _letters_that_fit(text: str, size: int, width: float) -> int:
    """How many letters from the beginning are at most `width` wide; at least one."""
    most = min(len(text), _letters_at_most(size, width))
    return max(1, _most_that_fit(most, lambda count: text_width(text[:count], size) <= width))


def _letters_at_most(size: int, width: float) -> int:
    """More letters than a line holds: the narrowest ones are a fifth as wide as they are high."""
    return int(6 * width / size) + 8


def _most_that_fit(most: int, fits: Callable[[int], bool]) -> int:
    """The largest count up to `most` that fits, by bisection; 0 if none does."""
    low, high = 0, max(0, most)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


@lru_cache(maxsize=64)
def _metrics(size: int) -> tuple[float, float]:
    face = font(size)
    return face.getmetrics() if isinstance(face, ImageFont.FreeTypeFont) else (size * 0.8, size * 0.2)


def _face(file: FontFile, size: int) -> tuple[ImageFont.FreeTypeFont | ImageFont.ImageFont, float]:
    """(the font, by how much its drawing must be scaled)."""
    face = sized(file, size)
    return face, size / face.size if isinstance(face, ImageFont.FreeTypeFont) and file.path is not None else 1.0


@lru_cache(maxsize=16384)
def _run_width(run: str, file: FontFile, size: int) -> float:
    face, scale = _face(file, size)
    return face.getlength(run) * scale


def _draw_scaled(
    canvas: Image.Image,
    xy: tuple[float, float],
    run: str,
    face: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    scale: float,
    fill: RGB | str,
) -> None:
    """A run of a font that has one size only (emoji), drawn in that size and scaled."""
    left, top, right, bottom = (int(edge) for edge in face.getbbox(run, anchor="ls"))
    if right <= left or bottom <= top:
        return
    large = Image.new("RGBA", (right - left, bottom - top), (255, 255, 255, 0))
    ImageDraw.Draw(large).text((-left, -top), run, fill=fill, font=face, anchor="ls", embedded_color=True)
    size = (max(1, math.ceil(large.width * scale)), max(1, math.ceil(large.height * scale)))
    small = large.resize(size, Image.Resampling.LANCZOS)
    canvas.paste(small, (round(xy[0] + left * scale), round(xy[1] + top * scale)), small)
