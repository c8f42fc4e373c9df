"""A picture of the relation graph: who there is, what belongs to whom, and which words of the prompt each one owns."""

import unicodedata
from dataclasses import dataclass, replace
from itertools import groupby

from PIL import Image, ImageDraw

from lumosx_core.drawing.lettering import RGB, draw_text, fit_lines, fit_text, is_right_to_left, text_width, visual_order, wrap
from lumosx_core.drawing.palette import ALARM, INK, PAPER, QUIET, colour_of, thumbnail, tint, title_lines
from lumosx_core.owners import Owner, owners
from lumosx_core.references import ReferenceSet
from lumosx_core.text_spans import BoundPrompt

WIDTHS = range(480, 1201, 120)  # pixels: the first one at which the picture is not much taller than it is wide
TALLEST = 1.6  # times the width
MARGIN = 24
TEXT = 22
LINE = round(TEXT * 1.7)  # of the prompt
NODE = 112  # side of a picture
GAP = 26
CARD_HEAD = 36
TITLE_LINE = 24
BRANCH = 34  # height of the lines between a face and what belongs to it
LABEL = 66  # height of the words below a picture
PROMPT_LINES, TITLE_LINES, PHRASE_LINES, PROBLEM_LINES, PROBLEMS = 60, 3, 2, 6, 40  # at most: what is longer is cut or counted


@dataclass(frozen=True, kw_only=True)
class _Card:
    """One owner's card: where it lies, its title in lines, and its pictures in rows: the views of the face, the rest."""

    owner: Owner
    title: list[str]
    face_rows: list[list[int]]
    rows: list[list[int]]
    width: int
    left: int = 0
    top: int = 0

    @property
    def head(self) -> int:
        return CARD_HEAD + TITLE_LINE * (len(self.title) - 1)

    @property
    def height(self) -> int:
        rows = len(self.face_rows) + len(self.rows)
        return self.head + GAP + rows * (NODE + LABEL) + BRANCH * bool(self.face_rows and self.rows)


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where everything lies in a picture of that width. lines: (start, stop) of the prompt's; problems: lines with colours."""

    width: int
    lines: list[tuple[int, int]]
    cards: list[_Card]
    problems: list[tuple[str, RGB]]

    @property
    def bottom(self) -> int:
        below = [card.top + card.height for card in self.cards]
        return max(below, default=MARGIN + LINE * len(self.lines)) + MARGIN

    @property
    def height(self) -> int:
        return self.bottom + 23 * len(self.problems) + MARGIN


def draw_relation_graph(references: ReferenceSet, bound: BoundPrompt, width: int | None = None) -> Image.Image:
    """RGB picture: the prompt with every owner's words in its colour, then one card per owner.

    Words that two owners share have a line in both colours; a picture without words is marked in red, problems are listed
    at the bottom. bound: from `bind_prompt` with the same references. width: in pixels, 480 to 1200; None: as wide as its
    content needs, so that its letters can be read where it is shown small.
    """
    everybody = owners(references)
    layout = _layout(references, bound, everybody, width or WIDTHS[-1])
    for narrower in WIDTHS if width is None else ():
        layout = _layout(references, bound, everybody, narrower)
        if layout.height <= TALLEST * layout.width:
            break
    canvas = Image.new("RGB", (layout.width, layout.height), PAPER)
    _draw_prompt(canvas, bound, everybody, layout.lines)
    for card in layout.cards:
        _draw_card(canvas, references, bound, card)
    for row, (line, colour) in enumerate(layout.problems):
        draw_text(canvas, (MARGIN, layout.bottom + 23 * row), line, 16, colour)
    return canvas


def _layout(references: ReferenceSet, bound: BoundPrompt, everybody: tuple[Owner, ...], width: int) -> _Layout:
    lines = wrap(bound.prompt, TEXT, width - 2 * MARGIN, PROMPT_LINES)
    cards = [_card(owner, references, width) for owner in everybody]
    placed = _placed(cards, 2 * MARGIN + LINE * len(lines), width)
    return _Layout(width=width, lines=lines, cards=placed, problems=_problem_lines(bound, width))


def _colours_of_characters(bound: BoundPrompt, everybody: tuple[Owner, ...]) -> list[list[RGB]]:
    """Per character of the prompt the colours of its owners."""
    colours: list[list[RGB]] = [[] for _ in bound.prompt]
    for owner in everybody:
        for index in owner.members:
            for start, stop in bound.char_spans[index]:
                for place in range(start, stop):
                    if colour_of(owner) not in colours[place]:
                        colours[place].append(colour_of(owner))
    return colours


def _draw_prompt(canvas: Image.Image, bound: BoundPrompt, everybody: tuple[Owner, ...], lines: list[tuple[int, int]]) -> None:
    """The wrapped prompt; words with the same owners are drawn as one, right-to-left scripts in their visual order."""
    colours = _colours_of_characters(bound, everybody)
    for place, letter in enumerate(bound.prompt):
        if letter == " " and (place + 1 >= len(colours) or colours[place + 1] != colours[place]):
            colours[place] = []  # the space behind the last word of an owner
    to_left = is_right_to_left(bound.prompt)
    for row, (start, stop) in enumerate(lines):
        y = MARGIN + row * LINE
        parts = _parts_of_line(bound.prompt, colours, start, stop, to_left)
        x = canvas.width - MARGIN - sum(text_width(part, TEXT) for part, _, _ in parts) if to_left else float(MARGIN)
        for place in visual_order([backwards for _, _, backwards in parts], to_left):
            part, own, _ = parts[place]
            width = text_width(part, TEXT)
            if own:
                draw = ImageDraw.Draw(canvas)
                draw.rectangle((x, y - 3, x + width, y + TEXT + 4), fill=tint(own[0], 0.22))
                for n, colour in enumerate(own):
                    draw.rectangle((x, y + TEXT + 4 + 4 * n, x + width, y + TEXT + 6 + 4 * n), fill=colour)
            draw_text(canvas, (x, y), part, TEXT, tint(own[0], 1.0) if own else INK)
            x += width
    if lines and lines[-1][1] < len(bound.prompt):
        more = f"... {len(bound.prompt) - lines[-1][1]} more letters"
        draw_text(canvas, (canvas.width - MARGIN, MARGIN + LINE * len(lines) - 6), more, 16, QUIET, anchor="ra")


def _parts_of_line(
    prompt: str, colours: list[list[RGB]], start: int, stop: int, to_left: bool
) -> list[tuple[str, list[RGB], bool]]:
    """The letters of a line in parts of equal owners and one direction (right to left or not), in logical order."""
    directions: list[bool] = []
    for place in range(start, stop):
        letter = prompt[place]
        kind = unicodedata.bidirectional(letter)
        last = directions[-1] if directions else to_left
        directions.append(kind != "L" if kind in ("L", "R", "AL") else last)
    for place in range(stop - start - 1, -1, -1):  # a space or a sign between two directions belongs to the line's own
        kind = unicodedata.bidirectional(prompt[start + place])
        following = directions[place + 1] if place + 1 < len(directions) else to_left
        if kind not in ("L", "R", "AL", "EN", "AN", "NSM") and directions[place] != following:
            directions[place] = to_left
    keyed = groupby(range(start, stop), key=lambda place: (colours[place], directions[place - start]))
    return [("".join(prompt[place] for place in places), own, backwards) for (own, backwards), places in keyed]


def _card(owner: Owner, references: ReferenceSet, most: int) -> _Card:
    flat = references.references()
    faces = [index for index in owner.members if flat[index].kind == "face"]
    others = [index for index in owner.members if index not in faces]
    columns = max(1, len(faces), len(others))
    width = min(max(columns * (NODE + GAP) + GAP, NODE + 3 * GAP), most - 2 * MARGIN)
    columns = max(1, (width - GAP) // (NODE + GAP))
    face_rows, rows = ([items[k : k + columns] for k in range(0, len(items), columns)] for items in (faces, others))
    return _Card(
        owner=owner, title=title_lines(owner, 20, width - 28, TITLE_LINES), face_rows=face_rows, rows=rows, width=width
    )


def _placed(cards: list[_Card], top: int, width: int) -> list[_Card]:
    """The cards side by side, wrapped into rows from `top` on."""
    placed: list[_Card] = []
    x, row_height = MARGIN, 0
    for card in cards:
        if x > MARGIN and x + card.width > width - MARGIN:
            x, top, row_height = MARGIN, top + row_height + MARGIN, 0
        placed.append(replace(card, left=x, top=top))
        row_height = max(row_height, card.height)
        x += card.width + MARGIN
    return placed


def _draw_card(canvas: Image.Image, references: ReferenceSet, bound: BoundPrompt, card: _Card) -> None:
    """A card with the face (all its views) on top and lines down to the attributes."""
    draw = ImageDraw.Draw(canvas)
    left, top, colour = card.left, card.top, colour_of(card.owner)
    right, bottom = left + card.width, top + card.height
    draw.rounded_rectangle((left, top, right, bottom), 14, fill=tint(colour, 0.08), outline=colour, width=2)
    draw.rounded_rectangle((left, top, right, top + card.head), 14, fill=colour, corners=(True, True, False, False))
    for row, line in enumerate(card.title):
        draw_text(canvas, (left + 14, top + 7 + TITLE_LINE * row), line, 20, "white")
    y = top + card.head + GAP // 2
    for number, indices in enumerate([*card.face_rows, *card.rows]):
        if number == len(card.face_rows) > 0:
            _draw_branches(draw, colour, left + card.width // 2, y, _centres(left, card.width, len(indices)))
            y += BRANCH
        for index, centre in zip(indices, _centres(left, card.width, len(indices)), strict=True):
            _draw_node(canvas, references, bound, card.owner, index, centre - NODE // 2, y)
        y += NODE + LABEL


def _centres(left: int, width: int, count: int) -> list[int]:
    whole = count * NODE + (count - 1) * GAP
    return [left + (width - whole) // 2 + NODE // 2 + k * (NODE + GAP) for k in range(count)]


def _draw_branches(draw: ImageDraw.ImageDraw, colour: RGB, x: int, y: int, targets: list[int]) -> None:
    joint = y + BRANCH // 2 - 2
    draw.line((x, y, x, joint), fill=colour, width=3)
    draw.line((min([x, *targets]), joint, max([x, *targets]), joint), fill=colour, width=3)
    for target in targets:
        draw.line((target, joint, target, y + BRANCH), fill=colour, width=3)


def _draw_node(
    canvas: Image.Image, references: ReferenceSet, bound: BoundPrompt, owner: Owner, index: int, x: int, y: int
) -> None:
    """A picture in a frame, its phrase, and which words it owns."""
    canvas.paste(thumbnail(references.references()[index], NODE), (x, y))
    ImageDraw.Draw(canvas).rectangle((x - 2, y - 2, x + NODE + 1, y + NODE + 1), outline=colour_of(owner), width=3)
    reference = bound.references[index]
    phrase = fit_lines(reference.phrase, 16, NODE + GAP - 6, PHRASE_LINES)
    for row, line in enumerate(phrase):
        draw_text(canvas, (x + NODE / 2, y + NODE + 6 + 18 * row), line, 16, INK, anchor="ma")
    if reference.token_spans:
        numbers = ", ".join(f"{a}-{b - 1}" if b - a > 1 else f"{a}" for a, b in reference.token_spans)
        words, colour = ("token " if "," not in numbers and "-" not in numbers else "tokens ") + numbers, QUIET
    else:
        words, colour = "no words", ALARM
    draw_text(
        canvas, (x + NODE / 2, y + NODE + 6 + 18 * len(phrase)), fit_text(words, 15, NODE + GAP - 6), 15, colour, anchor="ma"
    )


def _problem_lines(bound: BoundPrompt, width: int) -> list[tuple[str, RGB]]:
    """What is doubtful about the words, wrapped, each line with its colour."""
    lines: list[tuple[str, RGB]] = []
    for problem in bound.problems[:PROBLEMS]:
        message = fit_lines(f"! {problem.message}", 16, width - 2 * MARGIN, PROBLEM_LINES)
        lines += [(line, ALARM if problem.is_error else QUIET) for line in message]
    if len(bound.problems) > PROBLEMS:
        lines.append((f"! and {len(bound.problems) - PROBLEMS} more", ALARM))
    return lines
