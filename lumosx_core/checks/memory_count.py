"""Memory of a forward at any size, counted on tensors without content (`LiveMemory`): no GPU and no weights are needed."""

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lumosx_core.checks.model_speed import forward_variants
from lumosx_core.checks.speed_case import SpeedCase
from lumosx_core.model.live_memory import LiveMemory
from lumosx_core.model.rope import rope_table


def forward_memory(case: SpeedCase) -> dict[str, dict[str, dict[str, float]]]:
    """Table "memory": of every variant of a forward (`model_speed.forward_variants`) the peak in GiB above what was there
    before (weights, noise, references, the keys of the text), and its ratio to "plain"."""
    rows: dict[str, dict[str, float]] = {}
    with FakeTensorMode(), torch.no_grad():
        for layout in (case.as_plain, case.layout, case.without_references, case.half_blank):
            rope_table(layout, case.config.head_dim, torch.device(case.device))  # is made once and kept
        for name, call in forward_variants(case)["forward"].items():
            with LiveMemory() as memory:
                call()
            rows[name] = {"peak_gib": memory.peak / 2**30}
    plain = rows["plain"]["peak_gib"]
    return {"memory": {name: {**row, "ratio": row["peak_gib"] / plain} for name, row in rows.items()}}
