"""First step of the nano recipe: render the puppet world into shards of clips with their reference pictures.

A shard is one safetensors file: `frames` uint8 [N, F, H, W, 3], `references` uint8 [M, H, W, 3] (all clips' prepared
reference pictures in model order, one after the other), `owners` int8 [N, T, H/16, W/16] (`token_owners`), and in the
metadata `clips`, a JSON list with one record per clip: caption, kinds, subjects and phrases of its references, and the
clip's specification.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from lumosx_core.data.latent_shards import NOBODY
from lumosx_core.files.weights import write_safetensors
from lumosx_core.nano.found_pictures import with_found_pictures
from lumosx_core.puppets.clip import HEIGHT, WIDTH, ClipSpec, sample_clip
from lumosx_core.puppets.draw import ATTRIBUTE_LABELS, LABEL_HAIR, LABEL_HEAD
from lumosx_core.puppets.pictures import reference_set
from lumosx_core.puppets.render import RenderedClip, render_clip
from lumosx_core.puppets.scenes import OBJECT_LABEL
from lumosx_core.references import Reference, prepare_reference_image
from lumosx_core.workers import run_in_processes

# (share, people, attributes each, objects, background): one clip structure per row, so that batches have equal layouts.
STRUCTURES: tuple[tuple[float, int, int, int, bool], ...] = (
    (0.38, 2, 2, 0, False), (0.07, 2, 1, 0, False), (0.13, 2, 3, 0, False), (0.04, 2, 2, 0, True),
    (0.02, 2, 1, 1, True), (0.02, 2, 2, 1, True), (0.05, 1, 2, 0, False), (0.03, 1, 3, 0, False),
    (0.04, 1, 3, 1, True), (0.09, 3, 1, 0, False), (0.13, 3, 2, 0, False),
)  # fmt: skip
TOKEN = 16  # side of a token, pixels
SHOWN = 0.15  # share of a token that a reference must cover at least to own it


@dataclass(frozen=True, kw_only=True)
class ShardPlan:
    """One shard to render. `index` and `seed` decide every clip in it; `count` clips of `frames` frames (4n + 1; 1 makes
    single pictures), in which worn things have PATTERNS by `pattern_shares` (None: equally often). `found_share` (0..1) of the
    people are given by what is found in a photograph of them."""

    folder: Path
    index: int
    seed: int
    count: int
    frames: int
    pattern_shares: tuple[float, ...] | None = None
    found_share: float = 0.0

    @property
    def path(self) -> Path:
        """Where the finished shard lies."""
        return self.folder / f"{self.kind}-{self.index:04d}.safetensors"

    @property
    def kind(self) -> str:
        """ "pictures" or "clips"."""
        return "pictures" if self.frames == 1 else "clips"


def render_shard(plan: ShardPlan) -> Path:
    """Render one shard unless it is there already; returns its path. Written whole or not at all."""
    if plan.path.exists():
        return plan.path
    rng = np.random.default_rng((plan.seed, plan.index, plan.frames))
    shares = np.array([row[0] for row in STRUCTURES])
    frames, pictures, owners, records = [], [], [], []
    for _ in range(plan.count):
        _, people, attributes, objects, background = STRUCTURES[int(rng.choice(len(STRUCTURES), p=shares / shares.sum()))]
        clip = sample_clip(
            rng,
            people=people,
            attributes=attributes,
            objects=objects,
            frames=plan.frames,
            pattern_shares=plan.pattern_shares,
        )
        given = reference_set(rng, clip, background=background)
        references = with_found_pictures(rng, given, clip, plan.found_share).references()
        rendered = render_clip(clip)
        frames.append(rendered.frames)
        owners.append(token_owners(rendered, clip, references))
        pictures += [np.asarray(prepare_reference_image(r.image, WIDTH, HEIGHT)) for r in references]
        records.append(clip_record(clip, [(r.kind, r.subject, r.phrase) for r in references]))
    arrays = {"frames": np.stack(frames), "references": np.stack(pictures), "owners": np.stack(owners)}
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return write_safetensors(plan.path, tensors, {"clips": json.dumps(records)})


def token_owners(rendered: RenderedClip, clip: ClipSpec, references: tuple[Reference, ...]) -> np.ndarray:
    """int8 [T, H/16, W/16]: the index of the reference that covers most of each token, or NOBODY under a share of SHOWN.

    references: of the clip, in model order. A latent frame shows its last pixel frame best, so that one is looked at. The
    background owns what no puppet and no object covers. Clips have at most one object (the label does not tell two apart).
    """
    last_frames = range(0, len(rendered.frames), 4)
    owner, label = (x[last_frames] for x in (rendered.owner, rendered.label))
    attributes = [iter(puppet.attributes) for puppet in clip.puppets]
    shares = []
    for reference in references:
        if reference.kind == "background":
            shown = label == 0
        elif reference.kind == "object":
            shown = label == OBJECT_LABEL
        elif reference.kind == "face":
            shown = (owner == reference.subject) & ((label == LABEL_HEAD) | (label == LABEL_HAIR))
        else:
            assert reference.subject is not None
            kind = next(attributes[reference.subject]).kind
            shown = (owner == reference.subject) & (label == ATTRIBUTE_LABELS[kind])
        count, height, width = shown.shape
        shares.append(shown.reshape(count, height // TOKEN, TOKEN, width // TOKEN, TOKEN).mean((2, 4)))
    most = np.stack(shares)
    return np.where(most.max(0) >= SHOWN, most.argmax(0), NOBODY).astype(np.int8)


def clip_record(clip: ClipSpec, references: list[tuple[str, int | None, str]]) -> dict:
    """The record of a clip in a shard's metadata."""
    return {
        "caption": clip.caption.text,
        "references": [{"kind": kind, "subject": subject, "phrase": phrase} for kind, subject, phrase in references],
        "clip": clip.to_dict(),
    }


def render_shards(plans: list[ShardPlan], workers: int, on_result: Callable[[Path], None]) -> list[Path]:
    """Render all shards in `workers` processes; on_result(path) is called as each is done. Finished ones are kept."""
    return run_in_processes(render_shard, plans, workers, on_result)


@dataclass(frozen=True, kw_only=True)
class ClipShard:
    """What a shard holds; shapes as at the top of this file."""

    frames: np.ndarray
    references: np.ndarray
    owners: np.ndarray
    records: list[dict]


def read_shard(path: Path) -> ClipShard:
    """The contents of a shard."""
    with safe_open(path, "np") as shard:
        arrays = {name: shard.get_tensor(name) for name in ("frames", "references", "owners")}
        return ClipShard(**arrays, records=json.loads(shard.metadata()["clips"]))
