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
VIDEO: RGB = (60, 64, 76)
POSITIVE: RGB = (28, 120, 92)
NEGATIVE: RGB = (190, 60, 60)


def draw_masks(
    references: ReferenceSet, bound: BoundPrompt, layout: TokenLayout, levels_RS: torch.Tensor, tokenizer: Tokenizer
) -> Image.Image:
    """RGB picture: left which tokens attend to which (blocks true to scale), right the level of every word per reference.

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
    picture = Image.new("RGB", (LABELS + side + 2 * MARGIN + 300, side + 3 * MARGIN + 40), PAPER)
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
        draw_text(picture, (left + side + 16, top + 22 * line), fact, 16, INK)
    return picture


def _draw_levels(references: ReferenceSet, bound: BoundPrompt, levels_RS: torch.Tensor, tokenizer: Tokenizer) -> Image.Image:
    """One row per reference, one column per token of the prompt."""
    pieces = tokenizer.pieces(bound.prompt)
    words = [bound.prompt[start:stop].strip() for _, start, stop in pieces[: levels_RS.shape[1] - 1]]  # the last is the end
    labels = _row_labels(references)
    cell, row_height, head = 22, 26, 110
    width = LABELS + cell * max(1, len(words)) + 2 * MARGIN
    title = "Cross-attention: words each picture is drawn to or kept from"
    if len(pieces) > len(words):
        title += f" ({len(words)} tokens; the model does not read the other {len(pieces) - len(words)})"
    width = max(width, round(text_width(title, 20)) + 2 * MARGIN)
    picture = Image.new("RGB", (width, head + row_height * max(1, len(labels)) + 3 * MARGIN), PAPER)
    draw = ImageDraw.Draw(picture)
    draw_text(picture, (MARGIN, 0), title, 20, INK)
    left, top = MARGIN + LABELS, head + 30
    for column, word in enumerate(words):
        label = Image.new("RGB", (head, cell), PAPER)
        draw_text(label, (2, cell / 2), fit_text(word, 14, head - 6), 14, INK, anchor="lm")
        picture.paste(label.rotate(90, expand=True), (left + column * cell, top - head - 4))
    for row, (text, colour, kept) in enumerate(labels):
        y = top + row * row_height
        name = fit_text(text, 15, LABELS - 10, kept)
        draw_text(picture, (left - 8, y + row_height / 2), name, 15, colour, anchor="rm")
        for column in range(len(words)):
            level = float(levels_RS[row, column])
            shade = tint(POSITIVE, 0.85 * level) if level >= 0 else tint(NEGATIVE, -0.7 * level)
            x = left + column * cell
            draw.rectangle((x + 1, y + 1, x + cell - 1, y + row_height - 1), fill=shade, outline=(228, 228, 224))
    return picture
