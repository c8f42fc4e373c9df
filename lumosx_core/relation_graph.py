"""A picture of the relation graph: who there is, what belongs to whom, and which words of the prompt each one owns."""

from PIL import Image, ImageDraw

from lumosx_core.owner_palette import ALARM, INK, PAPER, QUIET, RGB, Owner, fit_text, font, owners, thumbnail, tint
from lumosx_core.references import ReferenceSet
from lumosx_core.text_spans import BoundPrompt

WIDTH = 1200  # pixels
MARGIN = 24
TEXT = 22
NODE = 112  # side of a picture
GAP = 26
CARD_HEAD = 36
BRANCH = 34  # height of the lines between a face and what belongs to it
LABEL = 46


def draw_relation_graph(references: ReferenceSet, bound: BoundPrompt) -> Image.Image:
    """RGB picture, 1200 pixels wide: the prompt with every owner's words in its colour, then one card per owner.

    Words that two owners share have a line in both colours; a picture without words is marked in red, problems are listed
    at the bottom. bound: from `bind_prompt` with the same references.
    """
    everybody = owners(references)
    canvas = Image.new("RGB", (WIDTH, 4000), PAPER)
    draw = ImageDraw.Draw(canvas)
    bottom = _draw_prompt(draw, bound, everybody, MARGIN)
    bottom = _draw_cards(canvas, draw, references, bound, everybody, bottom + MARGIN)
    bottom = _draw_problems(draw, bound, bottom)
    return canvas.crop((0, 0, WIDTH, min(canvas.height, bottom + MARGIN)))


def _colours_of_characters(bound: BoundPrompt, everybody: tuple[Owner, ...]) -> list[list[RGB]]:
    """Per character of the prompt the colours of its owners."""
    colours: list[list[RGB]] = [[] for _ in bound.prompt]
    for owner in everybody:
        for index in owner.members:
            for start, stop in bound.char_spans[index]:
                for place in range(start, stop):
                    if owner.colour not in colours[place]:
                        colours[place].append(owner.colour)
    return colours


def _draw_prompt(draw: ImageDraw.ImageDraw, bound: BoundPrompt, everybody: tuple[Owner, ...], top: int) -> int:
    """The wrapped prompt; returns the y below it."""
    colours = _colours_of_characters(bound, everybody)
    face, line = font(TEXT), round(TEXT * 1.7)
    x, y, place = float(MARGIN), top, 0
    for word in bound.prompt.split(" "):
        if x > MARGIN and x + draw.textlength(word, face) > WIDTH - MARGIN:
            x, y = float(MARGIN), y + line
        for offset, letter in enumerate(word + " "):
            index = place + offset
            own = colours[index] if index < len(colours) else []
            width = draw.textlength(letter, face)
            if own and (letter != " " or (index + 1 < len(colours) and colours[index + 1] == own)):
                draw.rectangle((x, y - 3, x + width, y + TEXT + 4), fill=tint(own[0], 0.22))
                for n, colour in enumerate(own):
                    draw.rectangle((x, y + TEXT + 4 + 4 * n, x + width, y + TEXT + 6 + 4 * n), fill=colour)
            draw.text((x, y), letter, fill=tint(own[0], 1.0) if own else INK, font=face)
            x += width
        place += len(word) + 1
    return y + line


def _card_width(owner: Owner, references: ReferenceSet) -> int:
    faces, others = _faces_and_others(owner, references)
    columns = max(1, len(faces), len(others))
    return max(columns * (NODE + GAP) + GAP, NODE + 3 * GAP)


def _faces_and_others(owner: Owner, references: ReferenceSet) -> tuple[list[int], list[int]]:
    """The owner's pictures: the views of the face, and the rest."""
    flat = references.references()
    faces = [index for index in owner.members if flat[index].kind == "face"]
    return faces, [index for index in owner.members if index not in faces]


def _draw_cards(
    canvas: Image.Image,
    draw: ImageDraw.ImageDraw,
    references: ReferenceSet,
    bound: BoundPrompt,
    everybody: tuple[Owner, ...],
    top: int,
) -> int:
    """One card per owner, wrapped into rows; returns the y below them."""
    x, row_height = MARGIN, 0
    for owner in everybody:
        width = min(_card_width(owner, references), WIDTH - 2 * MARGIN)
        if x > MARGIN and x + width > WIDTH - MARGIN:
            x, top, row_height = MARGIN, top + row_height + MARGIN, 0
        row_height = max(row_height, _draw_card(canvas, draw, references, bound, owner, x, top, width))
        x += width + MARGIN
    return top + row_height + MARGIN


def _draw_card(
    canvas: Image.Image,
    draw: ImageDraw.ImageDraw,
    references: ReferenceSet,
    bound: BoundPrompt,
    owner: Owner,
    left: int,
    top: int,
    width: int,
) -> int:
    """A card with the face (all its views) on top and lines down to the attributes; returns its height."""
    faces, others = _faces_and_others(owner, references)
    columns = max(1, (width - GAP) // (NODE + GAP))
    face_rows, rows = ([items[k : k + columns] for k in range(0, len(items), columns)] for items in (faces, others))
    height = CARD_HEAD + GAP + (len(face_rows) + len(rows)) * (NODE + LABEL) + BRANCH * bool(faces and rows)
    draw.rounded_rectangle(
        (left, top, left + width, top + height), 14, fill=tint(owner.colour, 0.08), outline=owner.colour, width=2
    )
    draw.rounded_rectangle(
        (left, top, left + width, top + CARD_HEAD), 14, fill=owner.colour, corners=(True, True, False, False)
    )
    title = fit_text(draw, owner.title, 20, width - 24)
    draw.text((left + 14, top + 7), title, fill="white", font=font(20))
    y = top + CARD_HEAD + GAP // 2
    for number, row in enumerate([*face_rows, *rows]):
        if number == len(face_rows) > 0:
            _draw_branches(draw, owner.colour, left + width // 2, y, _centres(left, width, len(row)))
            y += BRANCH
        for index, centre in zip(row, _centres(left, width, len(row)), strict=True):
            _draw_node(canvas, draw, references, bound, owner, index, centre - NODE // 2, y)
        y += NODE + LABEL
    return height


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
    canvas: Image.Image,
    draw: ImageDraw.ImageDraw,
    references: ReferenceSet,
    bound: BoundPrompt,
    owner: Owner,
    index: int,
    x: int,
    y: int,
) -> None:
    """A picture in a frame, its phrase, and which words it owns."""
    canvas.paste(thumbnail(references.references()[index], NODE), (x, y))
    draw.rectangle((x - 2, y - 2, x + NODE + 1, y + NODE + 1), outline=owner.colour, width=3)
    reference = bound.references[index]
    phrase = fit_text(draw, reference.phrase, 16, NODE + GAP - 6)
    draw.text((x + NODE / 2, y + NODE + 6), phrase, fill=INK, font=font(16), anchor="ma")
    if reference.token_spans:
        numbers = ", ".join(f"{a}-{b - 1}" if b - a > 1 else f"{a}" for a, b in reference.token_spans)
        words, colour = ("token " if "," not in numbers and "-" not in numbers else "tokens ") + numbers, QUIET
    else:
        words, colour = "no words", ALARM
    words = fit_text(draw, words, 13, NODE + GAP - 6)
    draw.text((x + NODE / 2, y + NODE + 25), words, fill=colour, font=font(13), anchor="ma")


def _draw_problems(draw: ImageDraw.ImageDraw, bound: BoundPrompt, top: int) -> int:
    """What is doubtful about the words, wrapped; returns the y below."""
    for problem in bound.problems:
        line = ""
        for word in f"! {problem.message}".split(" "):
            if line and draw.textlength(f"{line} {word}", font(16)) > WIDTH - 2 * MARGIN:
                draw.text((MARGIN, top), line, fill=ALARM if problem.is_error else QUIET, font=font(16))
                line, top = word, top + 22
            else:
                line = f"{line} {word}" if line else word
        draw.text((MARGIN, top), line, fill=ALARM if problem.is_error else QUIET, font=font(16))
        top += 26
    return top
