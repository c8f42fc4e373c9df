"""First step of the nano recipe: render the puppet world into shards of clips with their reference pictures.

A shard is one safetensors file: `frames` uint8 [N, F, H, W, 3], `references` uint8 [M, H, W, 3] (all clips' prepared
reference pictures in model order, one after the other), and in the metadata `clips`, a JSON list with one record per
clip: caption, kinds, subjects and phrases of its references, and the clip's specification.
"""

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from lumosx_core.puppets.world import HEIGHT, WIDTH, ClipSpec, reference_set, render_clip, sample_clip
from lumosx_core.references import prepare_reference_image
from lumosx_core.whole_files import whole_file

# (share, people, attributes each, objects, background): one clip structure per row, so that batches have equal layouts.
STRUCTURES: tuple[tuple[float, int, int, int, bool], ...] = (
    (0.42, 2, 2, 0, False), (0.20, 2, 1, 0, False), (0.04, 2, 3, 0, False), (0.06, 2, 2, 0, True),
    (0.06, 2, 1, 1, True), (0.03, 2, 2, 1, True), (0.06, 1, 2, 0, False), (0.03, 1, 3, 1, True),
    (0.06, 3, 1, 0, False), (0.04, 3, 2, 0, False),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ShardPlan:
    """One shard to render. `index` and `seed` decide every clip in it; `count` clips of `frames` frames (4n + 1)."""

    folder: Path
    index: int
    seed: int
    count: int
    frames: int

    @property
    def path(self) -> Path:
        """Where the finished shard lies."""
        return self.folder / f"clips-{self.index:04d}.safetensors"


def render_shard(plan: ShardPlan) -> Path:
    """Render one shard unless it is there already; returns its path. Written whole or not at all."""
    if plan.path.exists():
        return plan.path
    rng = np.random.default_rng((plan.seed, plan.index))
    shares = np.array([row[0] for row in STRUCTURES])
    frames, pictures, records = [], [], []
    for _ in range(plan.count):
        _, people, attributes, objects, background = STRUCTURES[
            int(rng.choice(len(STRUCTURES), p=shares / shares.sum()))
        ]
        clip = sample_clip(rng, people=people, attributes=attributes, objects=objects, frames=plan.frames)
        references = reference_set(rng, clip, background=background).references()
        frames.append(render_clip(clip).frames)
        pictures += [np.asarray(prepare_reference_image(r.image, WIDTH, HEIGHT)) for r in references]
        records.append(clip_record(clip, [(r.kind, r.subject, r.phrase) for r in references]))
    tensors = {"frames": np.stack(frames), "references": np.stack(pictures)}
    with whole_file(plan.path) as partial:
        save_file(tensors, partial, metadata={"clips": json.dumps(records)})
    return plan.path


def clip_record(clip: ClipSpec, references: list[tuple[str, int | None, str]]) -> dict:
    """The record of a clip in a shard's metadata."""
    return {
        "caption": clip.caption.text,
        "references": [{"kind": kind, "subject": subject, "phrase": phrase} for kind, subject, phrase in references],
        "clip": clip.to_dict(),
    }


def render_shards(plans: list[ShardPlan], workers: int) -> Iterator[Path]:
    """Render all shards in `workers` processes; yields each path as it is done. Finished shards are kept (resume)."""
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        try:
            for future in as_completed([pool.submit(render_shard, plan) for plan in plans]):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def read_shard(path: Path) -> tuple[np.ndarray, np.ndarray, list[dict]]:
    """(frames uint8 [N, F, H, W, 3], references uint8 [M, H, W, 3], records) of a shard."""
    with safe_open(path, "np") as shard:
        records = json.loads(shard.metadata()["clips"])
        return shard.get_tensor("frames"), shard.get_tensor("references"), records
