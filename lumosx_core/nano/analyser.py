"""Training of the puppet analyser on rendered pictures of the puppet world.

Every step shows some new pictures and many that were rendered before: rendering one costs about as much as learning from it
twice. Only training identities and looks are drawn, so that the analyser is judged on people it has never seen.

Legend: B = batch, H, W = rows and columns of the drawing (40 x 48).
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from lumosx_core.errors import InputError
from lumosx_core.files.safetensors import write_safetensors
from lumosx_core.numbers import real_number, whole_number
from lumosx_core.puppets.analyser_network import FIELDS, PARTS, REACH, WIDTHS, AnalyserNetwork
from lumosx_core.puppets.clip import BLOCK, ClipSpec, sample_clip
from lumosx_core.puppets.draw import HEAD_V
from lumosx_core.puppets.motion import pose_at
from lumosx_core.puppets.painter import UNITS_PER_PIXEL
from lumosx_core.puppets.render import render_clip
from lumosx_core.puppets.scenes import OBJECT_KINDS, OBJECT_LABEL, SCENE_TOP
from lumosx_core.puppets.spec import ATTRIBUTE_KINDS, IDENTITY_RANGES, PALETTE, PATTERNS

MOST_PEOPLE, MOST_OBJECTS = 3, 2
KINDS = len(ATTRIBUTE_KINDS)
NO_ANSWER = -100  # cross entropy leaves these pixels out
LOOK = ("colour", "second", "pattern")


@dataclass(frozen=True, kw_only=True)
class AnalyserConfig:
    """At most `steps` steps of `batch` pictures, `fresh` of them new; the rest drawn from those that were rendered before.

    minutes: training also ends after that time, and the learning rate falls by the clock: as good as the machine allows, but
    never twice the same weights. None: by the steps alone.
    """

    steps: int = 100_000
    minutes: float | None = 40.0
    batch: int = 12
    fresh: int = 4
    learning_rate: float = 4e-3
    widths: tuple[int, int, int, int] = WIDTHS
    seed: int = 0

    def __post_init__(self) -> None:
        whole_number(self.steps, "steps", least=1, most=10**7)
        whole_number(self.batch, "batch", least=1, most=4096)
        whole_number(self.fresh, "fresh", least=1, most=self.batch)
        if self.minutes is not None:
            real_number(self.minutes, "minutes", least=0.01, most=1e5)
        real_number(self.learning_rate, "learning_rate", least=1e-8, most=1.0)


DEBUG_ANALYSER = AnalyserConfig(steps=4, minutes=None, batch=3, fresh=1)


@dataclass(frozen=True, kw_only=True)
class Example:
    """One picture and its truth.

    rgb: uint8 [H, W, 3]. part: uint8 [H, W], index into PARTS. thing: uint8 [H, W]: index of the person, or MOST_PEOPLE + index
    of the object; 255 elsewhere. heads: float [MOST_PEOPLE, 2], x and y of the centres of the heads in pixels. identities: int
    [MOST_PEOPLE, fields]. looks: int [MOST_PEOPLE * KINDS + MOST_OBJECTS, 4]: colour, second, pattern, kind of object.
    """

    rgb: np.ndarray
    part: np.ndarray
    thing: np.ndarray
    heads: np.ndarray
    identities: np.ndarray
    looks: np.ndarray


def example(clip: ClipSpec) -> Example:
    """The first frame of a clip with everything that the network is asked."""
    rendered = render_clip(clip)
    label, owner = rendered.label[0, ::BLOCK, ::BLOCK], rendered.owner[0, ::BLOCK, ::BLOCK]
    part = np.searchsorted(PARTS, label).astype(np.uint8)
    thing = np.where(owner >= 0, owner, 255).astype(np.uint8)
    if clip.objects:
        columns = np.arange(label.shape[1])[None]
        nearest = np.argmin([np.abs(columns - x / UNITS_PER_PIXEL) for x in clip.object_places], 0)
        thing = np.where(label == OBJECT_LABEL, MOST_PEOPLE + nearest, thing).astype(np.uint8)
    heads = np.zeros((MOST_PEOPLE, 2), np.float32)
    identities = np.zeros((MOST_PEOPLE, len(IDENTITY_RANGES)), np.int64)
    looks = np.full((MOST_PEOPLE * KINDS + MOST_OBJECTS, 4), NO_ANSWER, np.int64)
    for n, (puppet, place) in enumerate(zip(clip.puppets, clip.placements, strict=True)):
        pose = pose_at(place, 0)
        foot = np.round(np.array([pose.foot_x, pose.foot_y - SCENE_TOP]) / UNITS_PER_PIXEL)
        heads[n] = foot + np.array([0.0, (HEAD_V - pose.bob) * pose.scale / UNITS_PER_PIXEL])
        identities[n] = [getattr(puppet.identity, field) for field in IDENTITY_RANGES]
        for worn in puppet.attributes:
            row = n * KINDS + ATTRIBUTE_KINDS.index(worn.kind)
            looks[row] = *_look(worn.colour, worn.second, worn.pattern), NO_ANSWER
    for k, thing_spec in enumerate(clip.objects):
        look = _look(thing_spec.colour, thing_spec.second, thing_spec.pattern)
        looks[MOST_PEOPLE * KINDS + k] = *look, OBJECT_KINDS.index(thing_spec.kind)
    rgb = rendered.frames[0, ::BLOCK, ::BLOCK]
    return Example(rgb=rgb, part=part, thing=thing, heads=heads, identities=identities, looks=looks)


def _look(colour: str, second: str, pattern: str) -> tuple[int, int, int]:
    colours = list(PALETTE)
    return colours.index(colour), colours.index(second) if pattern != "plain" else NO_ANSWER, PATTERNS.index(pattern)


def examples(seed: int) -> Iterator[Example]:
    """Pictures without end: one to three people with 0 to 4 things each, 0 to 2 objects."""
    rng = np.random.default_rng(seed)
    while True:
        people = int(rng.integers(1, 4))
        worn = tuple(int(count) for count in rng.integers(0, 5, people))
        described = bool(rng.random() < 0.8)  # otherwise everyone wears the same kinds
        yield example(
            sample_clip(rng, people=people, attributes=worn, described=described, objects=int(rng.integers(0, 3)), frames=1)
        )


def truth(batch: list[Example]) -> dict[str, torch.Tensor]:
    """Per field of FIELDS the right answers: long [B, H, W] with NO_ANSWER where the question makes no sense; "way" is float
    [B, 2, H, W], "person" bool [B, H, W] says where."""
    part = torch.from_numpy(np.stack([e.part for e in batch])).long()
    thing = torch.from_numpy(np.stack([e.thing for e in batch])).long()
    looks, identities = (torch.from_numpy(np.stack([getattr(e, n) for e in batch])) for n in ("looks", "identities"))
    heads = torch.from_numpy(np.stack([e.heads for e in batch]))
    rows = torch.arange(len(batch))[:, None, None]
    person = thing < MOST_PEOPLE
    who = torch.where(person, thing, 0)
    worn, is_object = person & (part >= 4) & (part < 4 + KINDS), (thing >= MOST_PEOPLE) & (thing < 255)
    row = torch.where(worn, who * KINDS + part - 4, MOST_PEOPLE * KINDS + thing - MOST_PEOPLE)
    look = looks[rows, torch.where(worn | is_object, row, 0)]  # [B, H, W, 4]
    answers = {name: torch.where(worn | is_object, look[..., i], NO_ANSWER) for i, name in enumerate((*LOOK, "object"))}
    face = person & ((part == 2) | (part == 3))
    who_is_it = identities[rows, who]
    answers |= {name: torch.where(face, who_is_it[..., i], NO_ANSWER) for i, name in enumerate(IDENTITY_RANGES)}
    height, width = part.shape[1:]
    places = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"), -1) + 0.5
    return answers | {"part": part, "person": person, "way": ((heads[rows, who] - places) / REACH).permute(0, 3, 1, 2)}


def analyser_loss(answers: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> torch.Tensor:
    """Sum over the fields, a scalar: cross entropy, and the distance to the owner's head. Identity counts a tenth each."""
    person = right["person"][:, None]
    distance = F.smooth_l1_loss(answers["way"], right["way"], beta=0.1, reduction="none")
    total = (distance * person).sum() / person.sum().clamp(min=1)
    weights = torch.ones(len(PARTS))
    weights[0] = 0.6  # most pixels show nobody
    total = total + 2 * F.cross_entropy(answers["part"], right["part"], weight=weights)
    for name in FIELDS:
        if name in ("part", "way") or not (right[name] != NO_ANSWER).any():
            continue
        weight = 0.5 if name in LOOK else 0.25 if name == "object" else 0.1
        total = total + weight * F.cross_entropy(answers[name], right[name], ignore_index=NO_ANSWER)
    return total


def pixels(batch: list[Example], rng: np.random.Generator) -> torch.Tensor:
    """float [B, 3, H, W] in 0..1: every second picture in another light, every third one with noise."""
    rgb = np.stack([e.rgb for e in batch]).astype(np.float32) / 255
    count = len(batch)
    light = np.where(rng.random((count, 1, 1, 1)) < 0.5, rng.uniform(0.9, 1.06, (count, 1, 1, 3)), 1.0)
    noise = np.where(rng.random((count, 1, 1, 1)) < 0.33, rng.uniform(0, 0.03, (count, 1, 1, 1)), 0.0)
    seen = np.clip(rgb * light + noise * rng.standard_normal(rgb.shape), 0, 1).astype(np.float32)
    return torch.from_numpy(seen).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def rate(passed: float) -> float:
    """The learning rate after that share of the training (0..1), as a share of the highest: a short rise, half a cosine."""
    if passed < 0.05:
        return 0.05 + 0.95 * passed / 0.05
    return 0.5 * (1 + math.cos(math.pi * (passed - 0.05) / 0.95)) + 1e-3


class _Pictures(torch.utils.data.IterableDataset):
    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __iter__(self) -> Iterator[Example]:
        return examples(self.seed)


def train_analyser(
    path: Path, config: AnalyserConfig, *, workers: int = 1, on_step: Callable[[int, float], None] | None = None
) -> AnalyserNetwork:
    """Train, and write the weights (float16, safetensors) to `path` at the end. on_step(step from 0, loss) after every step.

    workers: processes that render, 0: none. Without `minutes` the same config gives the same weights on one machine.
    Raises InputError if the loss is no number any more.
    """
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    network = AnalyserNetwork(config.widths).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=1e-3)
    loader = torch.utils.data.DataLoader(
        _Pictures(config.seed),
        batch_size=config.fresh,
        collate_fn=list,
        num_workers=workers,
        prefetch_factor=8 if workers else None,
    )
    rendered: list[Example] = []
    begin = time.monotonic()
    for step, fresh in zip(range(config.steps), loader, strict=False):
        passed = step / config.steps
        if config.minutes is not None:
            passed = max(passed, (time.monotonic() - begin) / (60 * config.minutes))
            if passed >= 1:
                break
        optimizer.param_groups[0]["lr"] = config.learning_rate * rate(passed)
        rendered += fresh
        old = rng.choice(len(rendered), config.batch - len(fresh))
        batch = [*fresh, *(rendered[i] for i in old)]
        loss = analyser_loss(network(pixels(batch, rng)), truth(batch))
        if not torch.isfinite(loss):
            raise InputError(f"the loss of the analyser is {loss.item()} at step {step}; use a smaller learning rate")
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if on_step is not None:
            on_step(step, loss.item())
    weights = {key: value.half() if value.is_floating_point() else value for key, value in network.state_dict().items()}
    write_safetensors(path, weights, {"kind": "lumosx puppet analyser"}, what="the analyser")
    return network.train(False)
