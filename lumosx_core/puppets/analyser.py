"""Eyes for the puppet world: who is in a picture, where the faces are, who wears what - from the pixels alone.

A small network (`analyser_network.py`) says of every large pixel of the drawing what it shows and where the head of its owner
is. Pixels of one colour that touch are one part of the drawing, so they decide together; people are where many pixels point
to. `PuppetAnalyser` answers what the protocols of `lumosx_core/eyes.py` ask, so that everything that needs eyes runs on a bare
machine, and can be tested against a world whose truth is known.

Legend: H, W = pixels of the picture, h, w = large pixels of the drawing, N = people.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image
from scipy import ndimage, sparse

from lumosx_core.eyes import Box, Found, FoundFace
from lumosx_core.files.images import rgb_on_white
from lumosx_core.puppets.analyser_network import FIELDS, PARTS, REACH, STRIDE, AnalyserNetwork, load_network
from lumosx_core.puppets.clip import COLUMNS, ROWS
from lumosx_core.puppets.draw import ATTRIBUTE_LABELS, LABEL_HAIR, LABEL_HEAD
from lumosx_core.puppets.rooms import box_of, face_room, holds, overlap, thing_room
from lumosx_core.puppets.scenes import OBJECT_KINDS, OBJECT_LABEL
from lumosx_core.puppets.spec import ATTRIBUTE_KINDS, BODY_KINDS, IDENTITY_RANGES, PALETTE, PATTERNS

MOST_CELLS = 96  # rows and columns of a drawing that is looked at, at most
REMEMBERED = 4  # pictures, since several questions are asked about each
APART = 6  # heads are at least so many large pixels apart
FEWEST = 20  # large pixels that must point to a head
SMALLEST = 3  # large pixels of a thing that counts as seen
OWN = 1.0  # what a large pixel says for itself, beside what its part says together
POSSIBLE = 0.1  # probability of a kind of garment that may still be meant
UNSURE = 0.02  # what is found less surely is not told
WORDS = {"gray": "grey", "violet": "purple", "cap": "hat", "coat": "jacket", "handbag": "bag", "stripy": "striped",
         "spotted": "dotted", "sunglasses": "glasses", "spectacles": "glasses", "t-shirt": "shirt"}  # fmt: skip
Enlarge = Callable[[np.ndarray], np.ndarray]  # a mask bool [h, w] of the drawing -> of the picture [H, W]


@dataclass(frozen=True, kw_only=True, eq=False)
class SeenThing:
    """A worn thing or an object: kind, bool mask [H, W], how surely something of the sort is there (0..1), probabilities of
    main colour (over PALETTE), second colour and pattern (PATTERNS). whole: the room that pictures of its kind show, as in
    `Found`. shares: probabilities of the kinds that it may be."""

    kind: str
    mask: np.ndarray = field(repr=False)
    score: float
    colour: np.ndarray = field(repr=False)
    second: np.ndarray = field(repr=False)
    pattern: np.ndarray = field(repr=False)
    whole: Box
    shares: dict[str, float] = field(default_factory=dict, repr=False)

    def fits(self, colour: str | None, pattern: str | None) -> float:
        """How well words fit its look, 0..1. People call a thing by either of its colours, and a pattern by a wrong word rather
        than a colour."""
        share = 1.0
        if colour is not None:
            index = list(PALETTE).index(colour)
            share *= min(1.0, float(self.colour[index] + self.second[index] * (1 - self.pattern[0])))
        if pattern is not None:
            share *= 0.2 + 0.8 * float(self.pattern[PATTERNS.index(pattern)])
        return share

    @property
    def adjectives(self) -> str:
        """The likeliest words for its look, such as "red striped"."""
        colour, pattern = list(PALETTE)[int(self.colour.argmax())], PATTERNS[int(self.pattern.argmax())]
        return colour if pattern == "plain" else f"{colour} {pattern}"


@dataclass(frozen=True, kw_only=True, eq=False)
class SeenPuppet:
    """A person: boxes of all that is seen and of head and hair, masks bool [H, W] of all and of the head with what is worn on
    it, how surely (0..1), an embedding of the face (length 1) and the things worn, by kind. `face` and `framed`, the room that
    pictures of a face show, are None where no head is seen."""

    box: Box
    face: Box | None
    framed: Box | None
    mask: np.ndarray = field(repr=False)
    head: np.ndarray = field(repr=False)
    score: float
    embedding: np.ndarray = field(repr=False)
    things: dict[str, SeenThing] = field(repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """Everything that was seen in a picture: people from left to right, and objects."""

    people: tuple[SeenPuppet, ...]
    objects: tuple[SeenThing, ...]


class PuppetAnalyser:
    """Finder of people, faces, phrases and masks in pictures of the puppet world; remembers the last few
    pictures.

    network: `load_network()` if not given. Pictures of any size that show the drawing whole, or enlarged pixel by pixel and
    then cropped at will.
    """

    def __init__(self, network: AnalyserNetwork | None = None) -> None:
        self.network = network or load_network()
        self._seen: dict[tuple[tuple[int, int], bytes], Scene] = {}  # by size and hash

    def look(self, picture: Image.Image) -> Scene:
        """All that is in the picture."""
        rgb = np.asarray(rgb_on_white(picture))
        key = (picture.size, hashlib.blake2b(rgb.tobytes()).digest())
        if key not in self._seen:
            while len(self._seen) >= REMEMBERED:
                del self._seen[next(iter(self._seen))]
            self._seen[key] = _read(drawing_of(rgb), self.network, rgb.shape[:2])
        return self._seen[key]

    def find_people(self, picture: Image.Image) -> list[Found]:
        """Everybody, from left to right, with masks."""
        return [Found(box=seen.box, score=seen.score, mask=seen.mask) for seen in self.look(picture).people]

    def find_faces(self, picture: Image.Image) -> list[FoundFace]:
        """The heads with their hair, from left to right."""
        people = self.look(picture).people
        return [
            FoundFace(box=p.face, score=p.score, embedding=p.embedding, mask=p.head, whole=p.framed)
            for p in people
            if p.face is not None
        ]

    def find_phrase(self, picture: Image.Image, phrase: str, within: Box | None = None) -> list[Found]:
        """Things of the kind that the phrase names, the likeliest look first. `within`: of the person whose box fits that box
        best, and objects whose middle is inside. Nothing for words that the puppet world has not."""
        colour, pattern, kind = words_of(phrase)
        scene = self.look(picture)
        people = scene.people
        objects = [thing for thing in scene.objects if thing.kind == kind]
        if within is not None:
            people = tuple(sorted(people, key=lambda p: -overlap(p.box, within))[:1])
            people = tuple(p for p in people if overlap(p.box, within) > 0)
            objects = [thing for thing in objects if holds(within, box_of(thing.mask))]
        found = []
        for thing in [*(thing for p in people for thing in p.things.values()), *objects]:
            share = thing.shares.get(kind or "", 0.0)
            score = thing.score * thing.fits(colour, pattern) * share
            if score >= UNSURE and share >= POSSIBLE:
                found.append(Found(box=box_of(thing.mask), score=score, phrase=phrase, mask=thing.mask, whole=thing.whole))
        return sorted(found, key=lambda f: -f.score)

    def segment(self, picture: Image.Image, found: Found) -> np.ndarray:
        """The mask bool [H, W] of what was found: a thing by its phrase near the box, without a phrase the person there. Empty
        where there is nothing of the kind."""
        if found.mask is not None:
            return found.mask
        if found.phrase:
            masks = [f.mask for f in self.find_phrase(picture, found.phrase) if f.mask is not None]
        else:
            masks = [p.mask for p in self.look(picture).people]
        masks = sorted(masks, key=lambda mask: -overlap(box_of(mask), found.box))
        return masks[0] if masks else np.zeros((picture.height, picture.width), bool)


def words_of(phrase: str) -> tuple[str | None, str | None, str | None]:
    """(colour, pattern, kind) that a phrase such as "a red striped shirt" names; None for what it does not say. The kind is
    the last one named, and the colour the last one before it."""
    words = [WORDS.get(word, word) for word in re.findall(r"[a-z][a-z-]*", phrase.lower())]
    kinds = (*ATTRIBUTE_KINDS, *OBJECT_KINDS)
    singular = [word if word in kinds else word.removesuffix("s") for word in words]
    places = [i for i, word in enumerate(singular) if word in kinds]
    end = places[-1] if places else len(words)
    colours = [word for word in words[:end] if word in PALETTE]
    patterns = [word for word in words[:end] if word in PATTERNS]
    return colours[-1] if colours else None, patterns[-1] if patterns else None, singular[end] if places else None


def drawing_of(rgb: np.ndarray) -> np.ndarray:
    """The drawing uint8 [h, w, 3] that a picture uint8 [H, W, 3] shows, one large pixel each.

    A picture of exact blocks is read block by block; any other is taken as the whole view, and shrunk to its rows.
    """
    height, width = rgb.shape[:2]
    for block in range(int(np.gcd(height, width)), 0, -1):
        rows, columns = height // block, width // block
        if height % block or width % block or max(rows, columns) > MOST_CELLS or min(rows, columns) < STRIDE:
            continue
        small = rgb[::block, ::block]
        # Row by row, since the first rows of most pictures tell that they are no blocks.
        if block > 1 and all((rgb[n * block : (n + 1) * block] == small[n].repeat(block, 0)).all() for n in range(rows)):
            return small
    rows = min(ROWS, height)  # never more than there are pixels: each large pixel must be somewhere in the picture
    columns = int(np.clip(round(rows * width / height), 1, min(MOST_CELLS, width)))
    if abs(columns - COLUMNS) <= 1 and width >= COLUMNS:
        columns = COLUMNS
    return np.asarray(Image.fromarray(rgb).resize((columns, rows), Image.Resampling.BOX))


def _read(drawing: np.ndarray, network: AnalyserNetwork, size: tuple[int, int]) -> Scene:
    if min(*drawing.shape[:2], *size) < STRIDE:  # too small or too narrow for anybody
        return Scene(people=(), objects=())
    answers = _answers(drawing, network)
    same = _one_colour(drawing)
    # Rare parts are small beside the background, so a part's pixels speak together with the mean of their logarithms.
    speech = np.log(answers["part"] + 1e-4)
    part = (OWN * speech + _together(speech, same)).argmax(0)
    labels = np.asarray(PARTS)[part]
    is_person = (labels > 0) & (labels != OBJECT_LABEL)
    heads, near = _heads(answers["way"], is_person, 1 - answers["part"][0] - answers["part"][-1])
    rows, columns = (np.arange(length) * cells // length for length, cells in zip(size, drawing.shape[:2], strict=True))

    def full(mask: np.ndarray) -> np.ndarray:
        return mask[rows[:, None], columns[None]]

    people = []
    if len(heads):
        # Hair of one colour may touch the neighbour's: there what a large pixel says for itself decides.
        owner = np.where(is_person, (OWN * near + _together(near, same)).argmax(0), -1)
        for n in np.argsort(heads[:, 0]):
            if person := _person(owner == n, labels, answers, full):
                people.append(person)
    pieces, count = ndimage.label(labels == OBJECT_LABEL, structure=np.ones((3, 3)))
    objects = [pieces == k for k in range(1, count + 1) if (pieces == k).sum() > 2 * SMALLEST]
    things = [_thing(OBJECT_KINDS[int(_mean(answers["object"], mask).argmax())], mask, answers, full) for mask in objects]
    return Scene(people=tuple(people), objects=tuple(things))


def _answers(drawing: np.ndarray, network: AnalyserNetwork) -> dict[str, np.ndarray]:
    """Per field float [answers, h, w]: probabilities, and for "way" large pixels."""
    h, w = drawing.shape[:2]
    padded = np.pad(drawing, ((0, -h % STRIDE), (0, -w % STRIDE), (0, 0)), mode="edge")
    with torch.inference_mode():
        out = network(torch.from_numpy(padded.astype(np.float32) / 255).permute(2, 0, 1)[None])
        return {name: (out[name] * REACH if name == "way" else out[name].softmax(1))[0, :, :h, :w].numpy() for name in FIELDS}


def _one_colour(drawing: np.ndarray) -> np.ndarray:
    """int [h, w]: the number of the part; pixels of exactly one colour that touch, at corners too, are one."""
    h, w = drawing.shape[:2]
    numbers = np.arange(h * w).reshape(h, w)
    first, second = [], []
    for a, b in (
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
        (np.s_[:-1, :-1], np.s_[1:, 1:]),
        (np.s_[:-1, 1:], np.s_[1:, :-1]),
    ):
        equal = (drawing[a] == drawing[b]).all(-1)
        first.append(numbers[a][equal])
        second.append(numbers[b][equal])
    edges = np.concatenate(first), np.concatenate(second)
    graph = sparse.coo_matrix((np.ones(len(edges[0]), bool), edges), shape=(h * w, h * w))
    return sparse.csgraph.connected_components(graph, directed=False)[1].reshape(h, w)


def _together(values: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Values [K, h, w] with every pixel's replaced by the mean over its part."""
    counts = np.bincount(same.ravel())
    means = np.stack([np.bincount(same.ravel(), weights=v.ravel()) / counts for v in values])
    return means[:, same]


def _heads(way: np.ndarray, is_person: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(x, y of the heads [N, 2], how near each pixel's pointer ends to each of them, 0..1 [N, h, w])."""
    h, w = is_person.shape
    y, x = np.mgrid[0:h, 0:w] + 0.5
    ends = np.stack([x + way[0], y + way[1]])
    column, row = (
        np.clip(np.floor(end[is_person]).astype(int) + 8, 0, length + 15) for end, length in zip(ends, (w, h), strict=True)
    )
    votes = np.zeros((h + 16, w + 16))  # heads may be above or beside the picture
    np.add.at(votes, (row, column), weight[is_person])
    smooth = ndimage.gaussian_filter(votes, 1.5, mode="constant")
    rows, columns = np.mgrid[0 : h + 16, 0 : w + 16]
    heads: list[tuple[float, float]] = []
    masses: list[float] = []
    while smooth.max() > 0:
        top, left = np.unravel_index(int(smooth.argmax()), smooth.shape)
        around = np.hypot(rows - top, columns - left) < APART
        mass = float(votes[around].sum())
        if mass < max(FEWEST, 0.15 * max(masses, default=0)):
            break
        heads.append((left - 8 + 0.5, top - 8 + 0.5))
        masses.append(mass)
        smooth[around] = 0
        votes[around] = 0
    places = np.asarray(heads).reshape(-1, 2)
    far = np.hypot(ends[0] - places[:, 0, None, None], ends[1] - places[:, 1, None, None])
    return places, np.exp(-far / 3)


def _person(own: np.ndarray, labels: np.ndarray, answers: dict[str, np.ndarray], full: Enlarge) -> SeenPuppet | None:
    own = _without_crumbs(own)
    if own.sum() < FEWEST:
        return None
    # What is worn on a head may cut it into pieces; a hand taken for a piece of it does not hang together with it.
    worn = [ATTRIBUTE_LABELS[kind] for kind in ("glasses", "hat", "scarf")]
    head = (labels == LABEL_HEAD) | (labels == LABEL_HAIR)
    near_head = _largest(own & (head | np.isin(labels, worn)))
    head = head & near_head
    body = np.isin(labels, [ATTRIBUTE_LABELS[kind] for kind in BODY_KINDS])
    # Nobody wears two garments: the one that most of their pixels speak for has them all.
    weights = [answers["part"][PARTS.index(ATTRIBUTE_LABELS[kind])][own & body].sum() for kind in BODY_KINDS]
    garment = BODY_KINDS[int(np.argmax(weights))]
    things = {}
    for kind in ATTRIBUTE_KINDS:
        if kind in BODY_KINDS and kind != garment:
            continue
        mask = own & (body if kind == garment else labels == ATTRIBUTE_LABELS[kind])
        if mask.sum() >= SMALLEST:
            shares = dict(zip(BODY_KINDS, np.divide(weights, sum(weights)).tolist(), strict=True)) if kind == garment else None
            things[kind] = _thing(kind, mask, answers, full, shares)
    identity = [np.sqrt(_mean(answers[name], head)) for name in IDENTITY_RANGES] if head.any() else [np.ones(1)]
    embedding = np.concatenate(identity)
    score = float(1 - answers["part"][0][own].mean())
    return SeenPuppet(
        box=box_of(full(own)),
        face=box_of(full(head)) if head.sum() >= FEWEST else None,
        framed=face_room(box_of(full(head))) if head.sum() >= FEWEST else None,
        mask=full(own),
        head=full(near_head & (labels != ATTRIBUTE_LABELS["scarf"])),
        score=score,
        embedding=embedding / np.linalg.norm(embedding),
        things=things,
    )


def _thing(
    kind: str, mask: np.ndarray, answers: dict[str, np.ndarray], full: Enlarge, shares: dict[str, float] | None = None
) -> SeenThing:
    """shares: of the pixels' votes for each kind, where several are possible."""
    label = OBJECT_LABEL if kind in OBJECT_KINDS else ATTRIBUTE_LABELS[kind]
    labels = [ATTRIBUTE_LABELS[k] for k in BODY_KINDS] if kind in BODY_KINDS else [label]
    sure = float(answers["part"][np.isin(PARTS, labels)].sum(0)[mask].mean())
    if kind in OBJECT_KINDS:
        sure *= float(_mean(answers["object"], mask)[OBJECT_KINDS.index(kind)])
    colour, second, pattern = (_mean(answers[name], mask) for name in ("colour", "second", "pattern"))
    seen = full(mask)
    return SeenThing(
        kind=kind,
        mask=seen,
        score=sure,
        colour=colour,
        second=second,
        pattern=pattern,
        whole=thing_room(kind, mask, seen),
        shares=shares or {kind: 1.0},
    )


def _mean(probabilities: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mean over a mask [h, w] of probabilities [K, h, w]: [K]."""
    return probabilities[:, mask].mean(1)


def _without_crumbs(mask: np.ndarray) -> np.ndarray:
    """The mask without pieces below a tenth of the largest, but with hands and other pieces of `FEWEST` pixels or more."""
    pieces, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return (sizes >= min(FEWEST, 0.1 * sizes.max(initial=0)))[pieces] & mask


def _largest(mask: np.ndarray) -> np.ndarray:
    """The largest piece of the mask."""
    pieces, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return (pieces == sizes.argmax()) & mask
