"""ComfyUI waits for the pack for a moment only: what a run needs is imported when it runs."""

import compileall
from pathlib import Path

import import_time

MOST = 0.3  # seconds of the processor for all nodes
NEEDED_BY_RUNS = (
    "lumosx_core.sampling.pipeline",
    "lumosx_core.model.transformer",
    "lumosx_core.detection.real_eyes",
    "lumosx_core.puppets",
    "transformers",
    "diffusers",
    "cv2",
    "insightface",
    "segment_anything",
)


def test_the_pack_is_loaded_in_a_moment_and_without_what_runs_need(comfyui: Path, tmp_path: Path) -> None:
    pack = import_time.copy_pack(tmp_path)
    assert compileall.compile_dir(pack, quiet=1, maxlevels=20)  # what the first start of the host leaves behind
    measured, table = import_time.one_start(comfyui, pack, compile_files=True, table=True)
    ours = [name for name in measured["modules"] if name.startswith(f"{pack}.nodes.")]
    assert len(ours) > 20 and "lumosx_core.references" in table  # the whole pack, and the part of the table that is about it
    assert not set(NEEDED_BY_RUNS) & set(measured["modules"])
    assert 0 < measured["pack"]["processor"] <= MOST, table
