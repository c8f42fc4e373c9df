"""Training data as files: shards of video latents, reference latents, text states and who owns which of their tokens.

A shard is one safetensors file with float16 tensors (bfloat16 and float32 are read too)
    video [N, C, T, h, w]     reference [M, C, h, w] (all samples' references, one after the other)
    context [N, S, text_dim]  (zeros past each prompt)
an int8 tensor
    owners [N, T, h/2, w/2]   which of its sample's references a token of the video shows; -1: none, or not known
and in its metadata `samples`: JSON, per sample its references' `kinds`, `subjects` and `spans` (the tokens that each owns, as
[start, end) pairs); `empty_context`: JSON [n][text_dim], the text states of the empty prompt. Latents are normalised. Training
knows nothing else of where data came from. Older shards hold the multilevel mask's `levels` [M, S] instead of spans.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.json import parse_json, parse_record
from lumosx_core.files.weights import read_safetensors, write_safetensors
from lumosx_core.model.token_layout import TokenLayout, text_levels
from lumosx_core.references import ReferenceKind
from lumosx_core.text_spans import BoundReference

logger = logging.getLogger(__name__)
NOBODY = -1  # an owner: a token whose reference is not known, or that shows none
REMEDY = "prepare it again or take it out of the folder"
AXES = {"video": "N C T h w", "reference": "M C h w", "context": "N S text_dim", "owners": "N T h/2 w/2"}
OLDER_AXES = {"levels": "M S"}  # of shards without spans
FLOATS = (torch.float16, torch.bfloat16, torch.float32)
LARGEST = 3e38  # of a float32
SHOWN = 8  # samples named in a message


@dataclass(frozen=True, kw_only=True)
class SampleReferences:
    """A sample's references in model order: their kinds, subject indices (None for background and objects), and the tokens
    that each owns (None in older shards)."""

    kinds: tuple[ReferenceKind, ...]
    subjects: tuple[int | None, ...]
    spans: tuple[tuple[tuple[int, int], ...], ...] | None = None

    @staticmethod
    def of(references: Sequence[BoundReference]) -> "SampleReferences":
        """Those of a bound prompt."""
        return SampleReferences(
            kinds=tuple(reference.kind for reference in references),
            subjects=tuple(reference.subject for reference in references),
            spans=tuple(reference.token_spans for reference in references),
        )

    def levels(self, text_len: int) -> torch.Tensor:
        """float32 [R, text_len]: the levels of the multilevel mask, from the spans."""
        assert self.spans is not None
        rows = zip(self.kinds, self.subjects, self.spans, strict=True)
        bound = [BoundReference(kind=kind, subject=subject, phrase="", token_spans=own) for kind, subject, own in rows]
        return text_levels(bound, text_len)


@dataclass(frozen=True, kw_only=True)
class LatentShard:
    """What a shard holds, tensors as at the top of this file (any float type); it is stored in float16."""

    video: torch.Tensor
    reference: torch.Tensor
    context: torch.Tensor
    owners: torch.Tensor
    samples: Sequence[SampleReferences]
    empty_context: torch.Tensor  # [n, text_dim]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One clip with its references. video [C, T, h, w], reference [R, C, h, w], context [S, text_dim], levels [R, S], owners
    int8 [T, h/2, w/2]; name: its shard and row, for messages."""

    name: str
    video: torch.Tensor
    reference: torch.Tensor
    context: torch.Tensor
    levels: torch.Tensor
    owners: torch.Tensor
    kinds: tuple[ReferenceKind, ...]
    subjects: tuple[int | None, ...]
    spans: tuple[tuple[tuple[int, int], ...], ...] | None = None


def write_latents(path: Path, shard: LatentShard) -> Path:
    """Write a shard, whole or not at all. Every sample has its spans."""
    assert all(sample.spans is not None for sample in shard.samples), "a shard without spans could not be read"
    tensors = {"video": shard.video, "reference": shard.reference, "context": shard.context}
    stored = {name: value.half().contiguous() for name, value in tensors.items()} | {"owners": shard.owners}
    samples = json.dumps([asdict(sample) for sample in shard.samples])
    return write_safetensors(path, stored, {"samples": samples, "empty_context": json.dumps(shard.empty_context.tolist())})


def read_latents(path: Path) -> tuple[list[Sample], torch.Tensor]:
    """(samples, text states of the empty prompt float32 [n, text_dim]) of a shard.

    Raises InputError, which names the shard, and the row where it is a sample's, for a file that is missing, cut short or no
    shard: tensors or metadata that are missing, of another type or shape, empty or that do not belong together. Samples with
    values that are not finite are told in the log; the training leaves their steps out.
    """
    tensors, metadata = read_safetensors(path)
    _check_tensors(path, tensors)
    samples = _read_samples(path, metadata)
    counts = [len(sample.kinds) for sample in samples]
    _check_sizes(path, tensors, len(samples), sum(counts))
    text_len = tensors["context"].shape[1]
    empty = _read_empty_context(path, metadata, tensors["context"])
    rows = []
    for row, (sample, stop) in enumerate(zip(samples, torch.tensor(counts).cumsum(0).tolist(), strict=True)):
        own = slice(stop - counts[row], stop)
        rows.append(
            Sample(
                name=f"{path.name} row {row}",
                video=tensors["video"][row],
                reference=tensors["reference"][own],
                context=tensors["context"][row],
                levels=_levels(path, row, sample, text_len) if "levels" not in tensors else tensors["levels"][own],
                spans=sample.spans,
                owners=tensors["owners"][row],
                kinds=sample.kinds,
                subjects=sample.subjects,
            )
        )
    _check_layouts(path, rows)
    spoilt = [row for row, sample in enumerate(rows) if not _finite(sample)]
    if spoilt:
        more = f" and {len(spoilt) - SHOWN} more" if len(spoilt) > SHOWN else ""
        logger.warning(
            "%s holds values that are not finite (NaN or infinite) in row %s%s; every step that draws one of these samples "
            "will be left out; %s",
            path,
            ", ".join(map(str, spoilt[:SHOWN])),
            more,
            REMEDY,
        )
    return rows, empty


def _check_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    older = {name: axes for name, axes in OLDER_AXES.items() if name in tensors}
    for name, axes in (AXES | older).items():
        tensor = tensors.get(name)
        if tensor is None:
            raise InputError(
                f"{path} is no shard of latents: it has no tensor {name!r}, expected {', '.join(AXES)}; take it out of "
                "the folder"
            )
        allowed = (torch.int8,) if name == "owners" else FLOATS
        if tensor.dtype not in allowed:
            types = " or ".join(str(dtype).removeprefix("torch.") for dtype in allowed)
            raise InputError(
                f"{path}: {name} is of type {str(tensor.dtype).removeprefix('torch.')}, expected {types}; {REMEDY}"
            )
        least = [0 if axis == "M" else 1 for axis in axes.split()]  # a clip may have no references
        if tensor.ndim != len(least) or any(size < low for size, low in zip(tensor.shape, least, strict=True)):
            raise InputError(f"{path}: {name} is {tuple(tensor.shape)}, expected [{axes.replace(' ', ', ')}]; {REMEDY}")


def _check_sizes(path: Path, tensors: Mapping[str, torch.Tensor], count: int, references: int) -> None:
    _, channels, frames, height, width = tensors["video"].shape
    length, text_dim = tensors["context"].shape[1:]
    if height % 2 or width % 2:
        raise InputError(f"{path}: video is {tuple(tensors['video'].shape)}, expected even sides h and w; {REMEDY}")
    expected = {
        "video": (count, channels, frames, height, width),
        "reference": (references, channels, height, width),
        "context": (count, length, text_dim),
        "levels": (references, length),
        "owners": (count, frames, height // 2, width // 2),
    }
    for name, shape in expected.items():
        if name in tensors and tuple(tensors[name].shape) != shape:
            raise InputError(
                f"{path}: {name} is {tuple(tensors[name].shape)}, expected {shape} with {count} samples and {references} "
                f"references (metadata `samples`), video {tuple(tensors['video'].shape)} and context "
                f"{tuple(tensors['context'].shape)}; {REMEDY}"
            )


def _read_samples(path: Path, metadata: Mapping[str, str]) -> list[SampleReferences]:
    content = _metadata(path, metadata, "samples")
    if not isinstance(content, list) or not content:
        raise InputError(f"{path}: metadata `samples` is no list of samples or an empty one; {REMEDY}")
    return [parse_record(SampleReferences, one, f"{path}: metadata `samples`, row {row}") for row, one in enumerate(content)]


def _levels(path: Path, row: int, sample: SampleReferences, text_len: int) -> torch.Tensor:
    """The levels of a sample's spans. Raises InputError unless there are spans for each reference, inside the text."""
    what = f"{path}: metadata `samples`, row {row}"
    if sample.spans is None:
        raise InputError(f"{what} has no spans, and the shard no levels; {REMEDY}")
    if len(sample.spans) != len(sample.kinds):
        raise InputError(f"{what} has spans of {len(sample.spans)} references, expected {len(sample.kinds)}; {REMEDY}")
    wrong = [span for own in sample.spans for span in own if not 0 <= span[0] <= span[1] <= text_len]
    if wrong:
        raise InputError(f"{what} has the span {list(wrong[0])}, expected 0 <= start <= end <= {text_len}; {REMEDY}")
    return sample.levels(text_len)


def _read_empty_context(path: Path, metadata: Mapping[str, str], context: torch.Tensor) -> torch.Tensor:
    content = _metadata(path, metadata, "empty_context")
    length, width = context.shape[1:]
    rows = content if isinstance(content, list) else []
    right = 1 <= len(rows) <= length and all(isinstance(row, list) and len(row) == width for row in rows)
    if not right or not all(type(v) in (int, float) and abs(v) <= LARGEST for row in rows for v in row):
        raise InputError(
            f"{path}: metadata `empty_context` is not 1 to {length} rows of {width} finite numbers, as context "
            f"{tuple(context.shape)} asks for; {REMEDY}"
        )
    return torch.tensor(rows, dtype=torch.float32)


def _metadata(path: Path, metadata: Mapping[str, str], name: str) -> Any:
    if name not in metadata:
        raise InputError(f"{path} is no shard of latents: its metadata has no `{name}`; take it out of the folder")
    return parse_json(metadata[name], f"metadata `{name}` of {path}")


def _check_layouts(path: Path, samples: list[Sample]) -> None:
    """Raise InputError unless each sample's references make a TokenLayout and its owners are among them."""
    known = set()
    for row, sample in enumerate(samples):
        key = (sample.kinds, sample.subjects)
        if key not in known:
            try:
                frames, height, width = sample.owners.shape
                TokenLayout(frames, height, width, kinds=sample.kinds, subjects=sample.subjects)
            except InputError as error:
                raise InputError(f"{path}: metadata `samples`, row {row}: {error}; {REMEDY}") from error
            known.add(key)
        low, high = int(sample.owners.min()), int(sample.owners.max())
        if low < NOBODY or high >= len(sample.kinds):
            raise InputError(
                f"{path}: owners of row {row} are from {low} to {high}, expected {NOBODY} (nobody) to {len(sample.kinds) - 1} "
                f"(its last reference); {REMEDY}"
            )


def _finite(sample: Sample) -> bool:
    return all(bool(v.isfinite().all()) for v in (sample.video, sample.reference, sample.context, sample.levels))
