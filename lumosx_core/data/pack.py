"""The dataset on the disk: tar shards of samples, a manifest of them, what was dropped, and what it was made with.

    DATASET/samples-00000.tar    plain tar (ustar), the files of a sample side by side: <16 hex>.clip.mp4, ...
    DATASET/manifest.parquet     a row for every sample; for every file its shard, offset and size
    DATASET/manifest.arrow       the same, to be mapped into memory (`manifest_rows.py`)
    DATASET/dropped.parquet      a row for every clip that is no sample, with the reason
    DATASET/config.toml          every setting
    DATASET/dataset.json         format and counts

Packing is a pure function of the committed clips: shards that hold the very samples they should stay as they are, the rest is
written anew behind them in the order of the ids. The manifest is renamed into place after its shards; shards that it does not
name are removed. So a killed run leaves the old dataset or the new one.
"""

import io
import logging
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lumosx_core.data.collect_config import CollectConfig, PackSettings
from lumosx_core.data.manifest_rows import copy_of, write_copy
from lumosx_core.data.settings import read_config, to_toml
from lumosx_core.errors import InputError
from lumosx_core.files.atomic import remove_file, whole_file, write_text
from lumosx_core.files.json import read_json, write_json
from lumosx_core.packages import install_command
from lumosx_core.progress import Progress

FORMAT = 1
MANIFEST, DROPPED, CONFIG, ABOUT = "manifest.parquet", "dropped.parquet", "config.toml", "dataset.json"
SHARD = "samples-{:05d}.tar"
MEGABYTE = 10**6
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class PackedSample:
    """A sample that is to be in the dataset. row: its columns of the manifest but files and digest. digest: of all that it is
    made of; while it is the same its files are not made again. files: makes (name, content) of each of its files."""

    sample: str
    digest: str
    row: dict[str, Any]
    files: Callable[[], list[tuple[str, bytes]]]


def pack_samples(
    out: Path,
    samples: Sequence[PackedSample],
    dropped: Sequence[dict[str, str]],
    config: CollectConfig | None,
    counts: dict[str, Any],
    progress: Progress | None = None,
) -> None:
    """Bring the dataset in `out` to exactly these samples. config: None for one that was not collected. Raises InputError when
    the disk refuses, and for a manifest that cannot be read."""
    old = read_manifest(out) if (out / MANIFEST).exists() else []
    wanted = {sample.sample: sample for sample in samples}
    rows, next_shard = _kept(out, old, wanted)
    missing = [wanted[name] for name in sorted(wanted.keys() - rows.keys())]
    size = (config.pack if config is not None else PackSettings()).shard_mb * MEGABYTE
    written = _write_shards(out, next_shard, size, missing)
    for number, (sample, places) in enumerate(written, start=1):
        rows[sample.sample] = {**sample.row, "sample": sample.sample, "digest": sample.digest, "files": places}
        if progress is not None:
            progress("packing", number, len(missing))
    remove_file(copy_of(out / MANIFEST))  # a killed run leaves none rather than an old one
    _write_table(out / MANIFEST, [rows[name] for name in sorted(rows)], manifest_schema())
    _write_table(out / DROPPED, sorted(dropped, key=lambda row: (row["clip"], row["stage"])), dropped_schema())
    if config is not None:
        write_text(out / CONFIG, to_toml(config))
    write_json(out / ABOUT, {"format": FORMAT, **counts}, "the counts of the dataset")
    named = {place["shard"] for row in rows.values() for place in row["files"]}
    for path in out.glob(SHARD.replace("{:05d}", "*")):
        if path.name not in named:
            remove_file(path)
    try:  # last: the dataset is whole without it, and what was removed is gone
        write_copy(out / MANIFEST)
    except (InputError, OSError) as error:
        log.warning("there is no %s (%s); it is made when the dataset is opened", copy_of(out / MANIFEST).name, error)


def manifest_of(out: Path) -> Path:
    """The manifest of a dataset. Raises InputError if there is none, or pyarrow is missing."""
    parquet()
    path = out / MANIFEST
    if not path.is_file():
        raise InputError(f"{out} is no dataset: it has no {MANIFEST}; make one with lumosx collect")
    return path


def read_manifest(out: Path, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """The rows of a dataset's manifest, all of them at once. Raises InputError if there is none, or it cannot be read."""
    path, pq = manifest_of(out), parquet()
    try:
        return pq.read_table(path, columns=None if columns is None else list(columns)).to_pylist()
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"cannot read {path} ({error}); collect again, which writes it anew") from error


def read_dropped(out: Path) -> list[dict[str, str]]:
    """What is no sample of a dataset, each with its reason; nothing where there is no such table."""
    return parquet().read_table(out / DROPPED).to_pylist() if (out / DROPPED).is_file() else []


def read_about(out: Path) -> dict[str, Any]:
    """Format and counts of a dataset; empty if it has none. Raises InputError for a newer format."""
    if not (out / ABOUT).is_file():
        return {}
    about = read_json(out / ABOUT, "the counts of the dataset")
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise InputError(f"{out / ABOUT} is not of format {FORMAT}, which this LumosX reads; update LumosX")
    return about


def refuse_imported(out: Path) -> None:
    """Raises InputError for a dataset without a work store: a collection into it would throw its samples out."""
    if origin := read_about(out).get("origin"):
        raise InputError(f"{out} was {origin}, and a collection would replace its samples; choose another --out")


def stored_samples(out: Path, rows: Sequence[dict[str, Any]]) -> list[PackedSample]:
    """Rows of the manifest of a dataset as samples to pack, with their files as they lie in its shards."""
    columns = set(manifest_schema().names) - {"sample", "digest", "files"}
    return [
        PackedSample(
            sample=row["sample"], digest=row["digest"], row={name: row[name] for name in columns}, files=_stored(out, row)
        )
        for row in rows
    ]


def stored_config(out: Path) -> CollectConfig:
    """The settings that a dataset was made with. Raises InputError if it has none, or they are of another version."""
    return read_config(CollectConfig, CollectConfig(), out / CONFIG)


def read_file(out: Path, place: dict[str, Any]) -> bytes:
    """One file of a sample by its shard, offset and size. Raises InputError if the shard is missing or too short."""
    path = out / place["shard"]
    try:
        with open(path, "rb") as file:
            file.seek(place["offset"])
            content = file.read(place["size"])
    except OSError as error:
        raise InputError(f"cannot read {place['name']} in {path} ({error}); run lumosx dataset check") from error
    if len(content) != place["size"]:
        raise InputError(f"{path} is cut off within {place['name']}; run lumosx dataset check")
    return content


def parquet() -> Any:
    """The module pyarrow.parquet. Raises InputError, with the command that installs it, where it is missing."""
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError(f"datasets need pyarrow; run  {install_command(['pyarrow'])}") from error
    return pq


def manifest_schema() -> Any:
    """The columns of the manifest."""
    import pyarrow as pa

    parquet()
    text, number, real = pa.string(), pa.int32(), pa.float32()
    relation = pa.struct(
        [
            ("phrase", text),
            ("kind", text),
            ("person", number),
            ("own", real),
            ("others", real),
            ("inside", real),
            ("colour", real),
        ]
    )
    place = pa.struct([("name", text), ("shard", text), ("offset", pa.int64()), ("size", pa.int64())])
    return pa.schema(
        [
            ("sample", text), ("caption", text), ("caption_origin", text), ("split", text), ("source", text),
            ("names", pa.list_(text)), ("origin", text), ("licence", text), ("start_s", pa.float64()),
            ("width", number),
            ("height", number), ("frames", number), ("fps", real), ("people", number), ("attributes", number),
            ("objects", number), ("background", pa.bool_()), ("mentions", pa.list_(text)), ("relations", pa.list_(relation)),
            ("record", text),
            ("digest", text), ("files", pa.list_(place)),
        ]
    )  # fmt: skip


def dropped_schema() -> Any:
    """The columns of the table of dropped clips."""
    import pyarrow as pa

    return pa.schema([(name, pa.string()) for name in ("clip", "source", "names", "stage", "status", "reason", "detail")])


def _stored(out: Path, row: dict[str, Any]) -> Callable[[], list[tuple[str, bytes]]]:
    # The record's words are in the manifest too, and may have been changed there (`without_views_of`).
    return lambda: [
        (place["name"], row["record"].encode() if place["name"] == "sample.json" else read_file(out, place))
        for place in row["files"]
    ]


def _kept(out: Path, old: list[dict[str, Any]], wanted: dict[str, PackedSample]) -> tuple[dict[str, dict[str, Any]], int]:
    """(the rows that stay with their shards, the number of the next shard)."""
    by_shard: dict[str, list[dict[str, Any]]] = {}
    for row in old:
        by_shard.setdefault(row["files"][0]["shard"], []).append(row)
    rows: dict[str, dict[str, Any]] = {}
    next_shard = 0
    for shard, members in sorted(by_shard.items()):
        whole = (out / shard).is_file() and (out / shard).stat().st_size > max(
            place["offset"] + place["size"] for row in members for place in row["files"]
        )
        if whole and all(row["sample"] in wanted and row["digest"] == wanted[row["sample"]].digest for row in members):
            rows |= {row["sample"]: {**row, **wanted[row["sample"]].row} for row in members}
        if (out / shard).exists():  # until the new manifest is there the old one needs them all
            next_shard = int(shard.split("-")[1].split(".")[0]) + 1
    return rows, next_shard


def _write_shards(
    out: Path, number: int, size: int, samples: Sequence[PackedSample]
) -> Iterator[tuple[PackedSample, list[dict[str, Any]]]]:
    """Write samples into shards of about `size` bytes from this number on; each sample with the places of its files."""
    waiting = list(samples)[::-1]
    while waiting:
        shard = SHARD.format(number)
        with (
            whole_file(out / shard, "a shard") as partial,
            open(partial, "wb") as file,
            tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            while waiting and file.tell() < size:
                sample = waiting.pop()
                places = []
                for name, content in sample.files():
                    info = tarfile.TarInfo(f"{sample.sample}.{name}")
                    info.size, info.mode, info.mtime = len(content), 0o644, 0
                    tar.addfile(info, io.BytesIO(content))
                    offset = file.tell() - (len(content) + 511) // 512 * 512
                    places.append({"name": name, "shard": shard, "offset": offset, "size": len(content)})
                yield sample, places
        number += 1


def _write_table(path: Path, rows: list[dict[str, Any]], schema: Any) -> None:
    import pyarrow as pa

    table = pa.Table.from_pylist(rows, schema=schema)
    with whole_file(path, "a table of the dataset") as partial:
        parquet().write_table(table, partial, compression="zstd", store_schema=True)
