"""Pictures of what the model makes of a sample: the token layout, the self-attention mask, the levels of the words.

Legend: R = references, S = text positions, P = tokens of a frame.
"""

import torch
from PIL import Image, ImageDraw

from lumosx_core.drawing.lettering import RGB, draw_text, fit_text, text_width
from lumosx_core.drawing.palette import INK, PAPER, QUIET, colour_of, tint
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.owners import owners
from lumosx_core.references import ReferenceSet
from lumosx_core.text_spans import BoundPrompt
from lumosx_core.tokenizers import Tokenizer

MARGIN, LABELS = 24, 190
WIDEST = 640  # pixels of the words: more of them go on below
CELL, ROW, HEAD = 22, 26, 110  # of the levels: a word's width, a picture's height, the height of the words above at most
COLUMNS = (WIDEST - LABELS - 2 * MARGIN) // CELL  # words side by side
VIDEO: RGB = (60, 64, 76)
POSITIVE: RGB = (28, 120, 92)
NEGATIVE: RGB = (190, 60, 60)


def draw_masks(
    references: ReferenceSet, bound: BoundPrompt, layout: TokenLayout, levels_RS: torch.Tensor, tokenizer: Tokenizer
) -> Image.Image:
    """RGB picture: on top which tokens attend to which (blocks true to scale), below the level of every word per reference, in
    bands of `COLUMNS` words.

    levels_RS: from `text_levels`, in -1..1; green words are favoured, red ones suppressed. Its S is what the model reads: of
    a longer prompt the words up to there are drawn, and how many tokens are left out is said.
    """
    mask = _draw_self_attention(references, layout)
    words = _draw_levels(references, bound, levels_RS, tokenizer)
    picture = Image.new("RGB", (max(mask.width, words.width), mask.height + words.height), PAPER)
    picture.paste(mask, (0, 0))
    picture.paste(words, (0, mask.height))
    return picture


def _row_labels(references: ReferenceSet) -> list[tuple[str, RGB, int]]:
    """Per reference its words, its colour, and how many letters at the beginning (the owner's number) are never cut."""
    labels: dict[int, tuple[str, RGB, int]] = {}
    flat = references.references()
    for owner in owners(references):
        for index in owner.members:
            number = flat[index].subject
            who = f"{number + 1}: " if number is not None else ""
            labels[index] = (f"{who}{flat[index].phrase}", colour_of(owner), len(who))
    return [labels[index] for index in range(len(flat))]


def _draw_self_attention(references: ReferenceSet, layout: TokenLayout) -> Image.Image:
    """The causal self-attention mask with one cell per frame or reference image."""
    labels = [(f"frame {t + 1}", VIDEO, 0) for t in range(layout.frames)] + _row_labels(references)
    cell = max(10, min(26, 620 // max(1, len(labels))))
    side = cell * len(labels)
    picture = Image.new("RGB", (max(LABELS + side + 2 * MARGIN, WIDEST), side + 4 * MARGIN + 100), PAPER)
    draw = ImageDraw.Draw(picture)
    draw_text(picture, (MARGIN, MARGIN - 8), "Self-attention: rows look at coloured columns", 20, INK)
    left, top, p = MARGIN + LABELS, MARGIN + 40, layout.tokens_per_frame
    draw.rectangle((left, top, left + side, top + side), fill="white", outline=QUIET)
    for q_start, q_stop, k_start, k_stop in layout.self_attention_rectangles():
        rows = range(q_start // p, q_stop // p)
        for row in rows:
            for column in range(k_start // p, k_stop // p):
                x, y = left + column * cell, top + row * cell
                draw.rectangle((x + 1, y + 1, x + cell - 1, y + cell - 1), fill=tint(labels[column][1], 0.75))
    for row, (label, colour, kept) in enumerate(labels):
        size = min(15, cell + 2)
        text = fit_text(label, size, LABELS - 10, kept)
        draw_text(picture, (left - 8, top + row * cell + cell / 2), text, size, colour, anchor="rm")
    total = layout.seq_len
    allowed = sum((b - a) * (d - c) for a, b, c, d in layout.self_attention_rectangles())
    facts = [
        f"{layout.frames} frames and {len(layout.kinds)} references",
        f"of {layout.height} x {layout.width} tokens: {total} tokens",
        f"{allowed / total**2:.0%} of all pairs are computed",
    ]
    for line, fact in enumerate(facts):
        draw_text(picture, (left, top + side + 12 + 22 * line), fact, 16, INK)
    return picture


def _draw_levels(references: ReferenceSet, bound: BoundPrompt, levels_RS: torch.Tensor, tokenizer: Tokenizer) -> Image.Image:
    """One row per reference, one column per token of the prompt."""
    pieces = tokenizer.pieces(bound.prompt)
    words = [bound.prompt[start:stop].strip() for _, start, stop in pieces[: levels_RS.shape[1] - 1]]  # the last is the end
    labels = _row_labels(references)
    title = ["Cross-attention: words each picture is drawn to or kept from"]
    if len(pieces) > len(words):
        title.append(f"{len(words)} tokens; the model does not read the other {len(pieces) - len(words)}")
    bands = [range(start, min(start + COLUMNS, len(words))) for start in range(0, max(1, len(words)), COLUMNS)]
    head = min(HEAD, 14 + max((round(text_width(word, 14)) for word in words), default=0))
    above, tall = 26 * len(title) + 10, head + ROW * max(1, len(labels)) + MARGIN
    picture = Image.new("RGB", (WIDEST, above + tall * len(bands) + MARGIN), PAPER)
    for line, text in enumerate(title):
        draw_text(picture, (MARGIN, 26 * line), fit_text(text, 20, WIDEST - 2 * MARGIN), 20, INK)
    for number, band in enumerate(bands):
        _draw_band(picture, above + tall * number, head, words, labels, levels_RS, band)
    return picture


def _draw_band(
    picture: Image.Image,
    y: int,
    head: int,
    words: list[str],
    labels: list[tuple[str, RGB, int]],
    levels_RS: torch.Tensor,
    band: range,
) -> None:
    """A run of words, from `y` on and `head` pixels high, and their levels below."""
    draw = ImageDraw.Draw(picture)
    left, top = MARGIN + LABELS, y + head
    for column, place in enumerate(band):
        label = Image.new("RGB", (head - 4, CELL), PAPER)
        draw_text(label, (2, CELL / 2), fit_text(words[place], 14, head - 8), 14, INK, anchor="lm")
        picture.paste(label.rotate(90, expand=True), (left + column * CELL, y))
    for row, (text, colour, kept) in enumerate(labels):
        row_top = top + row * ROW
        name = fit_text(text, 15, LABELS - 10, kept)
        draw_text(picture, (left - 8, row_top + ROW / 2), name, 15, colour, anchor="rm")
        for column, place in enumerate(band):
            level = float(levels_RS[row, place])
            shade = tint(POSITIVE, 0.85 * level) if level >= 0 else tint(NEGATIVE, -0.7 * level)
            x = left + column * CELL
            draw.rectangle((x + 1, row_top + 1, x + CELL - 1, row_top + ROW - 1), fill=shade, outline=(228, 228, 224))
