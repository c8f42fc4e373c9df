"""The short form of `cache_scale`: files of true size without numbers are read as batches, in little memory."""

from pathlib import Path

from lumosx_core.data.clip_dataset import ClipDataset
from tests.core.training.cache_scale import BUCKETS, MEMORY_MIB, VARIANTS, measure, write_cache


def test_clips_of_true_size(tmp_path: Path) -> None:
    found = measure(tmp_path, 9, 2)
    assert found.once and found.samples_s > 0 and 0 < found.memory_mib <= MEMORY_MIB
    data = ClipDataset(write_cache(tmp_path / "again", 3))
    batches = [data.batch(1, 0, step) for step in range(3)]
    assert sorted(tuple(batch.video.shape[2:]) for batch in batches) == sorted(bucket.latent for bucket in BUCKETS)
    assert all(batch.references.shape[1] == 9 and len(batch.layout.kinds) == 9 for batch in batches)
    sizes = [path.stat().st_size for path in (tmp_path / "again").glob("??/*.safetensors")]
    assert min(sizes) > 6e6 and VARIANTS == 2
    occupied = sum(path.stat().st_blocks * 512 for path in (tmp_path / "again").glob("??/*.safetensors"))
    assert occupied < 1e6  # holes
