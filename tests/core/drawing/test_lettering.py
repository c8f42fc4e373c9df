"""Words in pictures: the right font for every letter, cut and wrapped so that owners can be told apart, in any script."""

import random
import struct
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lumosx_core.drawing import fonts
from lumosx_core.drawing.attention import draw_attention
from lumosx_core.drawing.contact_sheet import contact_sheet, reference_panel
from lumosx_core.drawing.lettering import DOTS, draw_text, fit_lines, fit_text, is_right_to_left, text_width, visual_order, wrap
from lumosx_core.drawing.masks import draw_masks
from lumosx_core.drawing.palette import title_lines
from lumosx_core.drawing.relation_graph import draw_relation_graph
from lumosx_core.model.attention_shares import AttentionRecord
from lumosx_core.model.token_layout import TokenLayout, text_levels
from lumosx_core.owners import owners
from lumosx_core.references import Attribute, ReferenceSet, SceneReference, Subject
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.text_spans import BoundPrompt, bind_prompt
from lumosx_core.tokenizers import load_tokenizer

PICTURE = Image.new("RGB", (6, 8), "teal")
SAMPLES = {name: letter for name, (letter, _) in fonts.SCRIPTS.items()}


def drawn(text: str, size: int = 24, anchor: str = "la") -> np.ndarray:
    canvas = Image.new("RGB", (400, 60), "white")
    draw_text(canvas, (200 if anchor[0] == "m" else 8, 8), text, size, (0, 0, 0), anchor)
    return np.asarray(canvas).min(2)


@pytest.mark.parametrize("script", list(SAMPLES))
def test_letters_are_no_boxes(script: str) -> None:
    if script in fonts.missing_scripts():
        pytest.skip(f"this machine has no font for {script}: install {fonts.SCRIPTS[script][1]}")
    letter = SAMPLES[script]
    box = drawn("\U000ffffd")  # a letter that no font has
    assert fonts.font_for(letter) != fonts.BUILT_IN and fonts.font_for(letter).has(letter)
    assert (drawn(letter) < 200).sum() > 20 and not np.array_equal(drawn(letter), box)
    following = chr(ord(letter) + 1)
    assert not np.array_equal(drawn(letter), drawn(following))


def test_plain_words_are_drawn_with_the_built_in_font_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    before = drawn("A man in a red hat (1), 50%?")
    monkeypatch.setattr(fonts, "_font_files", lambda: ())
    monkeypatch.setattr(fonts, "_fonts_of_emoji_first", lambda: ())
    fonts.font_for.cache_clear()
    try:
        assert np.array_equal(drawn("A man in a red hat (1), 50%?"), before)
        assert fonts.font_for("\u7537") == fonts.BUILT_IN and (drawn("\u7537") < 200).any()  # a box, and no error
        assert set(fonts.missing_scripts()) == set(fonts.SCRIPTS)
    finally:
        fonts.font_for.cache_clear()


def table(kind: int) -> bytes:
    """A `cmap` with the letters 0x30-0x32 and 0x4E00, in format 4 or 12."""
    if kind == 12:
        body = struct.pack(">HHIII", 12, 0, 40, 0, 2) + struct.pack(">6I", 0x30, 0x32, 1, 0x4E00, 0x4E00, 4)
    else:
        columns = ((0x32, 0x4E00, 0xFFFF), (0x30, 0x4E00, 0xFFFF), (0, 0, 1), (6, 0, 0))
        ends, starts, deltas, offsets = (struct.pack(">3H", *column) for column in columns)
        glyphs = struct.pack(">3H", 5, 0, 7)  # 0x31 has none
        body = struct.pack(">7H", 4, 0, 0, 6, 0, 0, 0) + ends + b"\0\0" + starts + deltas + offsets + glyphs
    return struct.pack(">HHHHI", 0, 1, 3, 10 if kind == 12 else 1, 12) + body


def font_file(path: Path, cmap: bytes, *, collection: bool = False) -> Path:
    start = 16 if collection else 0
    head = struct.pack(">4sIII", b"ttcf", 0x10000, 1, 16) if collection else b""
    path.write_bytes(head + struct.pack(">IHHHH4sIII", 0x10000, 1, 0, 0, 0, b"cmap", 0, start + 28, len(cmap)) + cmap)
    return path


@pytest.mark.parametrize("collection", [False, True])
@pytest.mark.parametrize("kind", [4, 12])
def test_the_letters_of_a_font_are_read_from_its_file(tmp_path: Path, kind: int, collection: bool) -> None:
    font = fonts.FontFile(font_file(tmp_path / "x.ttf", table(kind), collection=collection))
    assert [font.has(letter) for letter in "0123/\u4e00\u4e01"] == [True, kind == 12, True, False, False, True, False]
    assert font.has("0\u200d2\ufe0f") and not font.has("0x")


def test_no_file_is_too_broken_to_be_asked(tmp_path: Path) -> None:
    rng = random.Random(3)
    for number in range(400):
        content = bytearray(
            font_file(tmp_path / "whole.ttf", table(rng.choice([4, 12])), collection=rng.random() < 0.3).read_bytes()
        )
        for _ in range(rng.randrange(1, 5)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path = tmp_path / f"{number}.ttf"
        path.write_bytes(content[: rng.randrange(len(content) + 1)] if rng.random() < 0.5 else content)
        assert fonts.FontFile(path).has("0") in (True, False)


TEXTS = [
    "man", "a tall man in a long red coat with brass buttons", "\u4e00\u4e2a\u6234\u7ea2\u5e3d\u5b50\u7684\u7537\u4eba" * 4,
    "caf\u00e9 cre\u0300me", "\u0e1c\u0e39\u0e49\u0e0a\u0e32\u0e22\u0e43\u0e2a\u0e48\u0e2b\u0e21\u0e27\u0e01" * 3, "x" * 300,
    "\u0631\u062c\u0644 \u064a\u0631\u062a\u062f\u064a \u0642\u0628\u0639\u0629",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 " * 9, "two\nlines\tand  spaces", "\udc80\x00\u202e", " ", "",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_texts_fit_where_they_are_put(text: str) -> None:
    for width in (60, 130, 400):
        shown = fit_text(text, 16, width)
        assert text_width(shown, 16) <= width
        assert shown == text or (
            DOTS in shown and shown[0] == text[0] and (len(shown) < 12 or shown.strip()[-1] == text.strip()[-1])
        )
        lines = wrap(text, 16, width)
        assert "".join(text[start:stop] for start, stop in lines) == text and lines[0][0] == 0
        assert all(text_width(text[start:stop].rstrip(), 16) <= width + 2 for start, stop in lines)
        for line in fit_lines(text, 16, width, 2):
            assert text_width(line, 16) <= width + 2
        assert len(fit_lines(text, 16, width, 2)) <= 2
    assert drawn(text).shape == (60, 400)


def test_white_space_is_one_line_and_marks_stay_with_their_letter() -> None:
    assert np.array_equal(drawn("red\nhat\tof\u00a0man"), drawn("red hat of man"))
    assert np.array_equal(drawn("cafe\u0301"), drawn("caf\u00e9"))
    assert text_width("a  b", 20) > text_width("a b", 20)
    assert not any(text[start] == "\u0301" for text in ["e\u0301" * 40] for start, _ in wrap(text, 16, 90)[1:] if start % 2)


def test_numbers_and_ends_of_titles_are_never_cut() -> None:
    assert fit_text("Subject 12: man of the old town", 16, 150, keep=12).startswith("Subject 12: m")
    people = ["man of the old town by the sea in a red hat", "man of the old town by the sea in a tan hat"]
    subjects = tuple(Subject(name=name, face=PICTURE) for name in people * 6)
    for width in (118, 166):  # the narrowest panel and card
        titles = [tuple(title_lines(owner, 16, width, 3)) for owner in owners(ReferenceSet(subjects=subjects))]
        assert len(set(titles)) == 12
        for number, lines in enumerate(titles, start=1):
            assert " ".join(lines).startswith(f"Subject {number}: ") and lines[-1].endswith("hat")
    long = tuple(Subject(name=f"{'very ' * n}old man", face=PICTURE) for n in (30, 31))
    assert len({tuple(title_lines(owner, 20, 166, 3)) for owner in owners(ReferenceSet(subjects=long))}) == 2


def test_right_to_left_parts_are_put_in_visual_order() -> None:
    assert visual_order([False, True, True, False]) == [0, 2, 1, 3]
    assert visual_order([True, False, False, True], base=True) == [3, 1, 2, 0]
    assert is_right_to_left(" (\u0631\u062c\u0644) man") and not is_right_to_left("1 man \u0631\u062c\u0644")
    if "Arabic" not in fonts.missing_scripts():
        word = "\u0628\u064a\u062a"  # joined letters are narrower than the same letters alone
        assert text_width(word, 40) < sum(text_width(letter, 40) for letter in word)


STRANGE = "".join(chr(0xF0000 + n) for n in range(20_000))  # letters that no font has


@pytest.mark.parametrize(
    "text", ["(man) " * 16_000, "\u4e00" * 100_000, "x" * 100_000, "a " * 50_000, "&amp;" * 20_000, STRANGE]
)
def test_long_texts_take_no_time(text: str) -> None:
    started = time.process_time()  # others may use the machine
    assert len(wrap(text, 22, 1150, 40)) == 40
    assert text_width(fit_text(text, 16, 150), 16) <= 150
    assert len(fit_lines(text, 20, 166, 3)) <= 3
    assert time.process_time() - started < 5


def bound_of(prompt: str, references: ReferenceSet) -> BoundPrompt:
    return bind_prompt(prompt, references, load_tokenizer(NANO_FOLDER), on_problem="ignore")


def test_pictures_of_many_of_long_and_of_other_words_are_whole() -> None:
    names = [name for name in TEXTS if name.strip() and "\udc80" not in name]
    many = ReferenceSet(
        subjects=tuple(Subject(name=n, face=PICTURE, attributes=(Attribute(phrase=n, image=PICTURE),)) for n in names),
        objects=tuple(SceneReference(phrase=f"cup {n}", image=PICTURE) for n in range(100)),
    )
    bound = bound_of(" and ".join(names) * 3, many)
    graph = draw_relation_graph(many, bound)
    assert graph.width == 1200 and graph.height > 4500
    assert draw_relation_graph(many, bound, 600).width == 600
    last_row = np.asarray(graph)[-40:-20]
    assert (last_row != last_row[0, 0]).any()  # the problems at the very end are there
    assert max(reference_panel(many).size) < 3000
    sheet = contact_sheet(many, np.zeros((5, 8, 8, 3), np.uint8), prompt=bound.prompt * 9, note=bound.prompt)
    assert sheet.width > 400
    record = AttentionRecord()
    record.add(1.0, torch.rand(2, 2, 3, len(owners(many))))
    assert draw_attention(many, record).height > 1000


def test_a_relation_graph_is_as_wide_as_it_needs_to_be() -> None:
    """Few owners make a narrow picture, whose letters of 15 pixels and more can be read where it is shown small."""
    one, two, many = (
        ReferenceSet(subjects=tuple(Subject(name=name, face=PICTURE) for name in names))
        for names in (("man",), ("man", "woman"), tuple(f"man {number}" for number in range(12)))
    )
    sizes = [draw_relation_graph(each, bound_of("a man and a woman", each)).size for each in (one, two, many)]
    assert [width for width, _ in sizes] == [480, 480, 960]
    assert all(height <= 1.6 * width for width, height in sizes)


def test_owners_whose_words_differ_late_do_not_read_alike() -> None:
    """Long words below a picture go on in a second line."""
    pictures = []
    for end in ("buttons", "pockets"):
        coat = Attribute(phrase=f"long red coat with {end}", image=PICTURE)
        references = ReferenceSet(subjects=(Subject(name="man", face=PICTURE, attributes=(coat,)),))
        pictures.append(np.asarray(draw_relation_graph(references, bound_of("a man in a coat", references), 480)))
    assert (pictures[0] != pictures[1]).any()


def test_masks_stop_where_the_model_does() -> None:
    references = ReferenceSet(subjects=(Subject(name="man", face=PICTURE),))
    bound = bound_of("a man " + "and a hat " * 60, references)
    layout, tokenizer = TokenLayout.for_references((2, 2, 3), bound.references), load_tokenizer(NANO_FOLDER)
    whole = len(bound.token_ids)
    drawn, high, pitch = {}, {}, set()
    for read in (79, 120, 512):
        picture = draw_masks(references, bound, layout, text_levels(bound.references, read), tokenizer)
        assert picture.width == 640
        cells = (np.asarray(picture)[:, 214:, :] == (228, 228, 224)).all(axis=2)  # the frames of the words' levels
        tops = np.flatnonzero(cells.sum(axis=1) > 40)  # the upper and lower edges of rows of them
        drawn[read], high[read] = sum(int(cells[y].sum()) for y in tops[::2]) / 21, picture.height
        assert len(tops) == 2 * -(-min(read - 1, whole) // 18)
        pitch |= set(np.diff(tops[::2]).tolist())
    assert drawn == {79: 78, 120: 119, 512: whole}
    assert high[120] - high[79] == 2 * pitch.pop() and not pitch  # seven bands of 18 words instead of five
