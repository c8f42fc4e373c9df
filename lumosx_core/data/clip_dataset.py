"""Batches out of prepared clips: over an epoch every clip once, drawn as the model was trained (method.md section 9).

For every clip of an epoch it is drawn whether people come as faces with their attributes (probability `grouped`) or whole and
ungrouped; of every entity one picture and one variant. Clips of one bucket whose references make the same layout share batches;
the last batch of a layout may be smaller, none is left out. All this is a function of (seed, step): there is no loader state.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from lumosx_core.data.clip_cache import (
    ABOUT,
    LIST,
    CachedEntity,
    CachedPerson,
    ListedClip,
    OpenClip,
    Spans,
    clip_path,
    read_settings,
)
from lumosx_core.data.draws import GROUPED, MOST_ATTRIBUTES, comes_whole
from lumosx_core.data.latent_dataset import Batch, LatentDataset
from lumosx_core.data.latent_shards import NOBODY, SampleReferences
from lumosx_core.data.reference_encoder import ReferenceEncoder
from lumosx_core.errors import InputError
from lumosx_core.files.json import parse_json, parse_record
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.numbers import real_number
from lumosx_core.references import ReferenceKind


@dataclass(frozen=True, kw_only=True)
class _Drawn:
    """A reference that was drawn: its kind, subject, tokens and the tensor of its picture."""

    kind: ReferenceKind
    subject: int | None
    spans: Spans
    picture: str
    person: int | None = None


class ClipDataset:
    """The prepared clips of a cache, with the interface of `LatentDataset`.

    model: folder of the VAE, for a cache whose pictures are encoded while training; device: where that is done. Raises
    InputError for a cache that is missing, unfinished, or in which a listed clip is not there, and for another VAE or none.
    """

    def __init__(self, cache: Path, *, grouped: float = GROUPED, model: Path | None = None, device: str = "cpu") -> None:
        self.folder = Path(cache)
        self.settings = read_settings(self.folder)
        self.encoder: ReferenceEncoder | None = None
        if not self.settings.variants:
            if model is None:
                raise InputError(
                    f"the pictures of {cache} are encoded while training; name the model folder with the VAE (--model)"
                )
            self.encoder = ReferenceEncoder(model, self.settings, device)
        self.grouped = real_number(grouped, "the share of grouped people", least=0, most=1)
        path = self.folder / LIST
        if not path.is_file():
            raise InputError(f"{cache} is not finished: it has no {LIST}; run lumosx train prepare again")
        lines = path.read_text("utf-8").splitlines()
        self.listed = [parse_record(ListedClip, parse_json(line, f"a line of {path}"), f"a line of {path}") for line in lines]
        self.clips = [clip for clip in self.listed if clip.key]
        missing = [clip.name for clip in self.clips if not clip_path(self.folder, clip.key).is_file()]
        if missing:
            raise InputError(
                f"{cache} lacks {len(missing)} prepared clips, such as {missing[0]!r}; run lumosx train prepare again"
            )
        if not self.clips:
            raise InputError(f"no clip of {cache} can be used: " + "; ".join(f"{c.name}: {c.reason}" for c in self.listed[:3]))

    def __len__(self) -> int:
        return len(self.clips)

    def refresh(self) -> None:
        """Nothing: a cache does not grow while it is trained on."""

    def check_model(self, config: TransformerConfig) -> None:
        """Raises InputError unless the transformer reads latents and texts as the cache holds them."""
        first = OpenClip(self.folder, self.clips[0].key)
        widths = (first.tensor("video").shape[0], first.tensor("context").shape[1], self.settings.text_len)
        wanted = (config.in_dim, config.text_dim, config.text_len)
        if widths != wanted:
            raise InputError(
                f"{self.folder} has {widths[0]} latent channels and texts of {widths[2]} tokens x {widths[1]}, the transformer "
                f"reads {wanted[0]}, {wanted[2]} x {wanted[1]}; prepare the clips for this model"
            )

    def largest_layout(self) -> TokenLayout:
        """Of the clips with the most tokens, people grouped: nothing is drawn that has more."""
        return max(map(_largest_layout, self.clips), key=lambda layout: layout.seq_len)

    def batch(
        self,
        size: int,
        seed: int,
        step: int,
        *,
        text_dropout: float = 0.0,
        reference_dropout: float = 0.0,
        frames: tuple[int, ...] = (),
    ) -> Batch:
        """The batch of that step; at most `size` clips. The options are those of `LatentDataset.batch`."""
        epoch, place = self._place(size, seed, step)
        names, grouped = self.plan(size, seed, epoch)[place]
        rng = np.random.default_rng((seed, step, 1))
        kept = int(rng.choice(frames)) if frames else None
        rows = [self._draw(index, grouped, rng) for index in names]
        text_len = self.settings.text_len
        context = torch.zeros(len(rows), text_len, rows[0][0].tensor("context").shape[1])
        references, levels, owners, videos = [], [], [], []
        for n, (opened, drawn) in enumerate(rows):
            share = rng.random()
            empty, blank = share < reference_dropout + text_dropout, share < reference_dropout
            text = opened.tensor("empty_context" if empty else "context").float()
            context[n, : len(text)] = text
            videos.append(opened.tensor("video").float()[:, :kept])
            pictures = [self._picture(opened, d.picture, int(rng.integers(1 << 30))).float() for d in drawn]
            stacked = torch.stack(pictures) if pictures else videos[-1].new_zeros(0, videos[-1].shape[0], *videos[-1].shape[2:])
            references.append(stacked * 0 if blank else stacked)
            own = SampleReferences(
                kinds=tuple(d.kind for d in drawn),
                subjects=tuple(d.subject for d in drawn),
                spans=tuple(d.spans for d in drawn),
            )
            levels.append(own.levels(text_len))
            shown = opened.tensor("people")[:kept]
            owners.append(torch.full_like(shown, NOBODY) if blank else _owners(shown, drawn))
        video = torch.stack(videos)
        grid = (video.shape[2], video.shape[3] // 2, video.shape[4] // 2)
        kinds, subjects = tuple(d.kind for d in rows[0][1]), tuple(d.subject for d in rows[0][1])
        return Batch(
            video=video,
            references=torch.stack(references),
            context=context,
            levels=torch.stack(levels).float(),
            owners=torch.stack(owners),
            layout=TokenLayout(*grid, kinds=kinds, subjects=subjects),
            samples=tuple(self.clips[index].name for index in names),
        )

    def _picture(self, opened: OpenClip, name: str, number: int) -> torch.Tensor:
        """Variant `number` of a picture, float16 [C, h, w]: a stored one, or encoded now."""
        return opened.variant(name, number) if self.encoder is None else self.encoder.variant(opened, name, number)

    def plan(self, size: int, seed: int, epoch: int) -> list[tuple[tuple[int, ...], bool]]:
        """The batches of an epoch: numbers of clips, and whether people are grouped in it."""
        return _plan(self, size, seed, epoch)

    def _place(self, size: int, seed: int, step: int) -> tuple[int, int]:
        """(epoch, number of the batch in it) of a step."""
        first = 0
        for epoch in range(step + 1):
            count = _length(self, size, seed, epoch)
            if step < first + count:
                return epoch, step - first
            first += count
        raise AssertionError("an epoch has at least one batch")

    def _draw(self, index: int, grouped: bool, rng: np.random.Generator) -> tuple[OpenClip, list[_Drawn]]:
        opened = OpenClip(self.folder, self.clips[index].key)
        clip = opened.clip
        drawn: list[_Drawn] = []

        def take(kind: ReferenceKind, subject: int | None, thing: CachedEntity, person: int | None = None) -> None:
            picture = thing.pictures[int(rng.integers(len(thing.pictures)))]
            drawn.append(_Drawn(kind=kind, subject=subject, spans=thing.spans, picture=picture, person=person))

        if clip.background is not None:
            take("background", None, clip.background)
        for thing in clip.objects:
            take("object", None, thing)
        whole = [
            (n, person) for n, person in enumerate(clip.people) if comes_whole(grouped=grouped, bodies=bool(person.bodies))
        ]
        for n, person in whole:
            take("object", None, CachedEntity(text=person.face.text, spans=_all_spans(person), pictures=person.bodies), n)
        subject = 0
        for n, person in enumerate(clip.people):
            if any(n == number for number, _ in whole):
                continue
            take("face", subject, person.face, n)
            count = min(MOST_ATTRIBUTES, len(person.attributes))
            chosen = sorted(rng.choice(len(person.attributes), count, replace=False)) if person.attributes else []
            for k in chosen:
                take("attribute", subject, person.attributes[int(k)], n)
            subject += 1
        return opened, drawn


def _largest_layout(clip: ListedClip) -> TokenLayout:
    scene: list[ReferenceKind] = ["background"] if clip.background else []
    thing: list[ReferenceKind] = ["object"]
    face: list[ReferenceKind] = ["face"]
    worn: list[ReferenceKind] = ["attribute"]
    kinds = scene + thing * clip.objects
    subjects: list[int | None] = [None] * len(kinds)
    for person, attributes in enumerate(clip.attributes):
        drawn = 1 + min(MOST_ATTRIBUTES, attributes)
        kinds += face + worn * (drawn - 1)
        subjects += [person] * drawn
    return TokenLayout(*clip.bucket.grid, kinds=tuple(kinds), subjects=tuple(subjects))


def _structure(clip: ListedClip, grouped: bool) -> tuple:
    """What must be equal for clips to share a batch: the bucket and the layout of the references."""
    whole = tuple(comes_whole(grouped=grouped, bodies=body) for body in clip.bodies)
    subjects = tuple(min(MOST_ATTRIBUTES, n) for n, body in zip(clip.attributes, whole, strict=True) if not body)
    return clip.bucket, clip.background, clip.objects + sum(whole), subjects


@lru_cache(maxsize=4)
def _plan(data: ClipDataset, size: int, seed: int, epoch: int) -> list[tuple[tuple[int, ...], bool]]:
    rng = np.random.default_rng((seed, 7, epoch))
    grouped = rng.random(len(data.clips)) < data.grouped
    groups: dict[tuple, list[int]] = defaultdict(list)
    for index in rng.permutation(len(data.clips)):
        groups[(*_structure(data.clips[index], bool(grouped[index])), bool(grouped[index]))].append(int(index))
    batches = [(tuple(members[k : k + size]), key[-1]) for key, members in groups.items() for k in range(0, len(members), size)]
    return [batches[k] for k in rng.permutation(len(batches))]


@lru_cache(maxsize=100_000)
def _length(data: ClipDataset, size: int, seed: int, epoch: int) -> int:
    return len(_plan(data, size, seed, epoch))


def _all_spans(person: CachedPerson) -> Spans:
    """A whole person owns the words of the name and of all that is worn."""
    return tuple(sorted({span for thing in (person.face, *person.attributes) for span in thing.spans}))


def _owners(people: torch.Tensor, drawn: list[_Drawn]) -> torch.Tensor:
    """Numbers of people as numbers of references: of a person's face, or of the whole person."""
    numbers = {d.person: n for n, d in reversed(list(enumerate(drawn))) if d.person is not None}
    owners = torch.full_like(people, NOBODY)
    for person, reference in numbers.items():
        owners[people == person] = reference
    return owners


def open_training_data(
    folder: Path, *, grouped: float = GROUPED, model: Path | None = None, device: str = "cpu"
) -> LatentDataset | ClipDataset:
    """The prepared clips of a cache, people grouped in that share of the draws, or the latent shards of a folder, in which that
    is drawn already. model, device: as of `ClipDataset`. Raises InputError if it holds neither."""
    if (folder / ABOUT).is_file():
        return ClipDataset(folder, grouped=grouped, model=model, device=device)
    return LatentDataset(folder)
