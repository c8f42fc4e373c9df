"""A small collection, for the tests of the collection and of what reads it."""

import pytest
from small_collection import COUNT, Collected, run_collect

from lumosx_core.data.demo_clips import write_demo_clips


@pytest.fixture(scope="package")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Collected:
    folder = tmp_path_factory.mktemp("collected")
    specs = write_demo_clips(folder / "videos", COUNT, seed=3, frames=9)
    (folder / "videos" / "broken.mp4").write_bytes((folder / "videos" / "0001.mp4").read_bytes()[:700])
    (folder / "videos" / "again.mp4").write_bytes((folder / "videos" / "0001.mp4").read_bytes())
    report = run_collect(folder / "videos", folder / "out")
    return Collected(out=folder / "out", videos=folder / "videos", specs=specs, report=report)
