"""Photo clips: two or three cut-out people in shirts of different colours, moving over a photographed scene.

Who is where, whose each pixel is and which shirt has which colour is known by construction, in every frame.

Legend: F = frames, H, W = pixels, P = people.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from lumosx_core.eyes import Box
from lumosx_core.files.atomic import write_text
from lumosx_core.files.images import open_image, rgb_on_white
from lumosx_core.files.videos import write_video
from tests.core.real.kit import PEOPLE
from tests.core.real.photo_people import NAMES, SHIRTS, cut_person, dressed

FRAMES, FPS, HEIGHT = 33, 16.0, 540
WIDTHS = {1: 720, 2: 960, 3: 1120}
# (whose picture, which, from its left or right side, words for the place): parts without people, mirrored to twice their width
SCENES = (
    ("P002", "posture", "right", "in a park"), ("P003", "posture", "left", "in a park"),
    ("P004", "posture", "right", "in a garden"), ("P005", "posture", "right", "in front of a wooden fence"),
    ("P006", "posture", "left", "in front of a wooden fence"), ("P006", "posture", "right", "in front of a wooden fence"),
    ("P007", "posture", "right", "in a park"), ("P009", "posture", "right", "in front of a wooden fence"),
    ("P002", "selfie", "left", "in a room"), ("P003", "selfie", "left", "in a room"), ("P004", "selfie", "left", "in a park"),
    ("P006", "selfie", "right", "in a park"), ("P008", "selfie", "right", "in a room"), ("P001", "selfie", "left", "in a room"),
)  # fmt: skip
NUMBERS = {1: "A person", 2: "Two people", 3: "Three people"}


@dataclass(frozen=True, kw_only=True)
class Walk:
    """One person of a clip. middle: x of the cut-out's middle at the first and last frame, share of the frame's width. top:
    pixels above the head. turn: when half the way is done, share of the clip. scale: of the cut-out."""

    name: str
    colour: str
    middle: tuple[float, float]
    top: float
    turn: float
    scale: float
    flipped: bool


@dataclass(frozen=True, kw_only=True)
class PhotoClip:
    """A clip that can be rendered: who is in it, from back to front, before which scene of SCENES."""

    walks: tuple[Walk, ...]
    scene: int
    light: float
    seed: int

    @property
    def width(self) -> int:
        """Pixels."""
        return WIDTHS[len(self.walks)]

    def caption(self, *, exchanged: bool = False, place: bool = False) -> str:
        """ "A person in a red shirt and a person in a blue shirt ...", in an order that is not that of their places.

        exchanged: two shirts belong to somebody else: the sides that the caption tells are true, the colours are not.
        """
        rng = np.random.default_rng((self.seed, 5))
        order = rng.permutation(len(self.walks))
        colours = [self.walks[n].colour for n in order]
        where = f" {SCENES[self.scene][3]}" if place else ""
        if not exchanged:
            people = [f"a person in {_article(c)} {c} shirt" for c in colours]
            return f"{_listed(people).capitalize()}{where}."
        by_place = sorted(range(len(self.walks)), key=lambda n: self.walks[n].middle[0])
        sides = {1: ["in the middle"], 2: ["on the left", "on the right"], 3: ["on the left", "in the middle", "on the right"]}
        moved = [self.walks[n].colour for n in by_place]
        first, second = sorted(rng.choice(len(moved), 2, replace=False).tolist())
        moved[first], moved[second] = moved[second], moved[first]
        told = [f"a person in {_article(c)} {c} shirt {side}" for c, side in zip(moved, sides[len(moved)], strict=True)]
        return f"{_listed(told).capitalize()}{where}."


@dataclass(frozen=True, kw_only=True, eq=False)
class PhotoFrame:
    """A frame: rgb uint8 [H, W, 3]; owner int8 [H, W]: the number of the walk that is seen, -1 the scene; shirt bool [H, W];
    faces: a box of every walk."""

    rgb: np.ndarray
    owner: np.ndarray
    shirt: np.ndarray
    faces: tuple[Box, ...]


def photo_clip(seed: int, people: int, *, crossing: bool = False, names: Sequence[str] = NAMES) -> PhotoClip:
    """A clip by chance. crossing: the outer two change places, at a quarter or three quarters of the clip."""
    rng = np.random.default_rng((seed, 3))
    who = rng.choice(names, people, replace=False)
    colours = rng.choice(list(SHIRTS), people, replace=False)
    slots = (np.arange(people) + 0.5) / people
    ends = slots[::-1] if crossing else slots
    walks = []
    for number in range(people):
        top = float(rng.uniform(16, 60))
        cut = cut_person(str(who[number])).rgb
        drift = rng.uniform(-0.03, 0.03, 2)
        walks.append(
            Walk(
                name=str(who[number]),
                colour=str(colours[number]),
                middle=(float(slots[number] + drift[0]), float(ends[number] + drift[1])),
                top=top,
                turn=float(rng.choice([0.25, 0.75])) if crossing else 0.5,
                scale=float((HEIGHT + 8 - top) / len(cut) * rng.uniform(1.0, 1.08)),
                flipped=bool(rng.integers(2)),
            )
        )
    if crossing:  # whoever crosses does it at the same time
        walks = [replace(walk, turn=walks[0].turn) for walk in walks]
    order = rng.permutation(people)
    light = float(rng.uniform(0.85, 1.1))
    return PhotoClip(walks=tuple(walks[n] for n in order), scene=int(rng.integers(len(SCENES))), light=light, seed=seed)


def sixty_clips(count: int = 60, seed: int = 0) -> list[PhotoClip]:
    """Two and three people in turns; in every fourth clip the outer ones change places."""
    return [photo_clip(seed * 1000 + n, 2 + n % 2, crossing=n % 8 in (2, 5)) for n in range(count)]


def render_frame(clip: PhotoClip, number: int) -> PhotoFrame:
    """Frame `number` (from 0) with its truth."""
    rgb = _scene(clip.scene, clip.width).astype(np.float32)
    owner = np.full(rgb.shape[:2], -1, np.int8)
    shirt, faces = np.zeros(rgb.shape[:2], bool), []
    for index, walk in enumerate(clip.walks):
        layer, alpha, worn, face = _layer(walk)
        height, width = alpha.shape
        x, y = _place(clip, walk, number, width)
        x0, y0, x1, y1 = max(0, x), max(0, y), min(clip.width, x + width), min(HEIGHT, y + height)
        inside, outside = np.s_[y0 - y : y1 - y, x0 - x : x1 - x], np.s_[y0:y1, x0:x1]
        cover = alpha[inside][..., None]
        rgb[outside] = rgb[outside] * (1 - cover) + layer[inside] * clip.light * cover
        seen = alpha[inside] >= 0.5
        owner[outside][seen] = index
        shirt[outside] = np.where(seen, worn[inside], shirt[outside])
        faces.append((x + face[0], y + face[1], x + face[2], y + face[3]))
    return PhotoFrame(rgb=rgb.clip(0, 255).astype(np.uint8), owner=owner, shirt=shirt, faces=tuple(faces))


def write_clip(clip: PhotoClip, path: Path, caption: str) -> Path:
    """The clip as H.264 with its caption beside it; nothing of the truth."""
    frames = np.stack([render_frame(clip, number).rgb for number in range(FRAMES)])
    write_video(path, frames, FPS, crf=20)
    write_text(path.with_suffix(".txt"), caption + "\n")
    return path


@lru_cache(maxsize=4)
def _layer(walk: Walk) -> tuple[np.ndarray, np.ndarray, np.ndarray, Box]:
    """(pixels float32 [H, W, 3], alpha float32 [H, W], shirt bool [H, W], face) of a person as large as in the clip."""
    person = cut_person(walk.name)
    height, width = (round(side * walk.scale) for side in person.alpha.shape)
    planes = [Image.fromarray(dressed(person, walk.colour)), Image.fromarray(person.alpha), Image.fromarray(person.shirt)]
    rgb, alpha, shirt = (np.asarray(plane.resize((width, height)), np.float32) for plane in planes)
    left, top, right, bottom = (value * walk.scale for value in person.face)
    if walk.flipped:
        rgb, alpha, shirt = rgb[:, ::-1], alpha[:, ::-1], shirt[:, ::-1]
        left, right = width - right, width - left
    return rgb, alpha.clip(0, 1), shirt >= 0.5, (left, top, right, bottom)


def _place(clip: PhotoClip, walk: Walk, number: int, width: int) -> tuple[int, int]:
    """(left, top) of the cut-out in a frame, whole pixels."""
    time = number / (FRAMES - 1)
    crosses = walk.turn != 0.5
    way = 1 / (1 + np.exp(-20 * (time - walk.turn))) if crosses else time
    middle = (walk.middle[0] * (1 - way) + walk.middle[1] * way) * clip.width
    bob = 3 * np.sin(2 * np.pi * (time * 2 + walk.top / 7))
    return round(middle - width / 2), round(walk.top + bob)


@lru_cache(maxsize=1)
def _scene(number: int, clip_width: int) -> np.ndarray:
    """uint8 [H, W, 3]."""
    name, kind, side, _ = SCENES[number]
    picture = rgb_on_white(open_image(PEOPLE / name / "assets" / f"amateur_{kind}.jpg"))
    share, high = (0.29, 0.12) if kind == "posture" else (0.2, 0.05)
    width, top = round(share * picture.width), round(high * picture.height)
    left = 0 if side == "left" else picture.width - width
    height = round(width * 2 * HEIGHT / clip_width)
    part = np.asarray(picture.crop((left, top, left + width, top + height)))
    both = Image.fromarray(np.concatenate([part, part[:, ::-1]], 1))
    return np.asarray(both.resize((clip_width, HEIGHT), Image.Resampling.BICUBIC))


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"
