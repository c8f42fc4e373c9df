"""Samples in a process whose address space is limited to what the plan for memory says, and to less.

    MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=65536 MALLOC_TRIM_THRESHOLD_=65536 python -m tests.core.sampling.limited_memory

Printed is JSON, by case: `planned`, MiB of the stage of sampling (weights and work); `least`, the smallest limit in MiB above
what the process held before in which sampling ran (bisected to 2 %); `same`, whether the latents in every limit were those
without one. The variables let the allocator give back what is free, so that the limit is one of what is in use. --within BYTES:
the first case, in that limit and in 0.8 of it, as `enough` and `too_little`. Linux only.
"""

import argparse
import json
import resource
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lumosx_core.errors import InputError
from lumosx_core.model.transformer import reference_keys_bytes
from lumosx_core.puppets.samples import SAMPLES_FOLDER
from lumosx_core.sample_folder import read_sample
from lumosx_core.sampling.config import GenerationConfig
from lumosx_core.sampling.generate import Prepared, denoise, prepare
from lumosx_core.sampling.memory_plan import _sampling_bytes
from lumosx_core.sampling.pipeline import GenerationMemory, LumosXPipeline

CASES: dict[str, dict] = {
    "one pass": {"cfg_batched": False},
    "both passes": {},
    "kept references": {"reference_refresh": 2},
    "long": {"frames": 49},
}
VIDEOS = 8  # at once
MIB = 2**20


def prepared_case(changes: dict[str, Any]) -> tuple[LumosXPipeline, Prepared, GenerationConfig]:
    """The pipeline loads the transformer for every sampling: within the limit."""
    memory = GenerationMemory(cfg_batched=True, text_on_cpu=False, streamed=False, decode_from=0)
    pipeline = LumosXPipeline(resident=False, memory=memory)
    config = replace(pipeline.defaults.config, steps=1, **changes)
    return pipeline, prepare(pipeline, read_sample(SAMPLES_FOLDER / "two_people"), config), config


def planned_bytes(pipeline: LumosXPipeline, prepared: Prepared, config: GenerationConfig) -> int:
    """Of sampling, as `planned` counts them."""
    layout = replace(prepared.condition.layout, videos=VIDEOS)
    need = _sampling_bytes(pipeline.sizes, layout, 2 if config.cfg_batched else 1, 2, torch.float32, False)
    return need + (reference_keys_bytes(pipeline.sizes, layout, 2, torch.float32) if config.reference_refresh > 1 else 0)


def measured(changes: dict[str, Any], within: int | None) -> dict[str, float | bool]:
    """The row of one case."""
    pipeline, prepared, config = prepared_case(changes)
    free = denoise(pipeline, prepared, config, range(VIDEOS))  # also begins what a process begins once
    same = True

    def runs_in(allowed: float) -> bool:
        nonlocal same
        latents = limited(pipeline, prepared, config, int(allowed))
        same = same and (latents is None or torch.equal(latents, free))
        return latents is not None

    if within is not None:
        return {"enough": runs_in(within), "too_little": runs_in(0.8 * within), "same": same}
    need = planned_bytes(pipeline, prepared, config)
    low, high = 0.3 * need, 1.5 * need
    while high - low > 0.02 * need:
        middle = (low + high) / 2
        low, high = (low, middle) if runs_in(middle) else (middle, high)
    return {"planned": round(need / MIB, 1), "least": round(high / MIB, 1), "same": same}


def limited(pipeline: LumosXPipeline, prepared: Prepared, config: GenerationConfig, allowed: int) -> torch.Tensor | None:
    """The latents within so many bytes beyond what the process holds; None where that is too little."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + allowed, before[1]))
    try:
        return denoise(pipeline, prepared, config, range(VIDEOS))
    except InputError as error:
        if "memory of cpu ran out while sampling" not in str(error):
            raise
        return None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--within", type=int)
    within = parser.parse_args().within
    torch.set_num_threads(1)
    cases = dict(list(CASES.items())[:1]) if within else CASES
    sys.stdout.write(json.dumps({name: measured(changes, within) for name, changes in cases.items()}) + "\n")


if __name__ == "__main__":
    main()
