"""Does a dataset of a million samples open, filter and give random samples as fast as one of a thousand?

    python -m tests.core.data.manifest_scale [--rows 1000000] [--clips 6]

A few puppet clips are collected; then a manifest of many rows is written, each with the record and files of one of them
under an id of its own, so that every row is as large as a real one and the pictures that are decoded are real. Told are the
seconds to make the copy and to open it, the private memory that opening and reading take, a filter by one column, and the
time of a random sample (references, owners; pictures decoded) against that of a dataset of 1,000 rows, measured in turns.
Bars: open <= 1 s, private memory <= 1 GB, random sample <= 1.3 times. Exit status 1 if one is not met.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lumosx_core.data.collect import collect
from lumosx_core.data.collect_config import PUPPETS
from lumosx_core.data.dataset import RelationalDataset
from lumosx_core.data.demo_clips import write_demo_clips
from lumosx_core.data.engine import ProcessEngine
from lumosx_core.data.manifest_rows import copy_of, open_rows, write_copy
from lumosx_core.data.pack import MANIFEST, parquet
from lumosx_core.data.repack import conditions, meeting
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.tokenizers import load_tokenizer

SMALL = 1000  # rows of the dataset that is compared with
OPEN_S, PRIVATE_MB, RATIO = 1.0, 1000.0, 1.3
AT_ONCE = 16_384


@dataclass(frozen=True)
class Scale:
    """Seconds to make the copy, to open, to filter; rows that the filter left and should leave; private megabytes; median
    seconds of a random sample of the large and of the small dataset."""

    copy_s: float
    open_s: float
    filter_s: float
    left: int
    expected: int
    private_mb: float
    sample_s: float
    small_s: float

    @property
    def good(self) -> bool:
        """Whether all bars are met."""
        ratio = self.sample_s / self.small_s
        return self.left == self.expected and self.open_s <= OPEN_S and self.private_mb <= PRIVATE_MB and ratio <= RATIO


def write_rows(dataset: Path, out: Path, rows: int) -> Path:
    """A dataset of so many rows that share the shards of `dataset`."""
    import pyarrow as pa

    out.mkdir(parents=True)
    for shard in dataset.glob("samples-*.tar"):
        shutil.copyfile(shard, out / shard.name)
    few = parquet().read_table(dataset / MANIFEST).combine_chunks()
    rng = np.random.default_rng(0)
    with parquet().ParquetWriter(out / MANIFEST, few.schema, compression="zstd") as writer:
        for first in range(0, rows, AT_ONCE):
            count = min(AT_ONCE, rows - first)
            part = few.take(rng.integers(few.num_rows, size=count))
            # The files of a row are named by the sample that packed them: only ids of rows are new.
            ids = pa.array([f"{first + n:016x}" for n in range(count)])
            writer.write_table(part.set_column(part.schema.get_field_index("sample"), "sample", ids))
    return out


def private_mb() -> float:
    """Memory of this process that it shares with nothing, not even with files (Linux)."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:")) / 1000


def measure(few: Path, folder: Path, rows: int, samples: int = 100) -> Scale:
    """Everything above, with the rows of a small dataset."""
    small = RelationalDataset(write_rows(few, folder / "small", SMALL))
    large = write_rows(few, folder / "large", rows)
    begin = time.perf_counter()
    write_copy(large / MANIFEST)
    copy_s = time.perf_counter() - begin
    before = private_mb()
    begin = time.perf_counter()
    dataset = RelationalDataset(large, split="all")
    open_s = time.perf_counter() - begin
    times: dict[str, list[float]] = {"large": [], "small": []}
    rng = np.random.default_rng(1)
    for _ in range(samples):
        for name, data in (("large", dataset), ("small", small)):
            index = int(rng.integers(len(data)))
            begin = time.perf_counter()
            item = data[index]
            times[name].append(time.perf_counter() - begin)
            assert item.sample.references.references() and item.row["sample"] == f"{index:016x}"
    private = private_mb() - before
    every = open_rows(large / MANIFEST)
    begin = time.perf_counter()
    left = meeting(every, conditions(["people=2"]))
    filter_s = time.perf_counter() - begin
    expected = sum(value == 2 for value in parquet().read_table(large / MANIFEST, columns=["people"])["people"].to_pylist())
    return Scale(
        copy_s,
        open_s,
        filter_s,
        len(left),
        expected,
        private,
        statistics.median(times["large"]),
        statistics.median(times["small"]),
    )


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--clips", type=int, default=6)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_demo_clips(folder / "videos", options.clips, seed=5, frames=9)
        tokenizer = load_tokenizer(NANO_FOLDER / "spiece.model")
        collect([folder / "videos"], folder / "few", PUPPETS, tokenizer, engine=ProcessEngine(workers=1))
        found = measure(folder / "few", folder, options.rows)
        size = copy_of(folder / "large" / MANIFEST).stat().st_size / 1e6
    lines = (
        f"copy           {found.copy_s:.1f} s to make, {size:.0f} MB",
        f"open           {found.open_s:.3f} s (bar {OPEN_S:g})",
        f"filter         {found.filter_s:.2f} s, {found.left} of {options.rows} rows",
        f"private        {found.private_mb:.0f} MB (bar {PRIVATE_MB:.0f})",
        f"random sample  {found.sample_s * 1e3:.1f} ms against {found.small_s * 1e3:.1f} ms of {SMALL} rows: "
        f"{found.sample_s / found.small_s:.2f} (bar {RATIO})",
    )
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if found.good else 1


if __name__ == "__main__":
    sys.exit(main())
