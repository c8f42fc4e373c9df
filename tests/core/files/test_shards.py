"""Tensors in pieces: rows are read from the files that hold them, torch's reader takes them, and gaps are told."""

from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as checkpoint
from safetensors.torch import save_file

from lumosx_core.errors import InputError
from lumosx_core.files.shards import open_shards, shard_name, write_shard

NAMES = [shard_name(number, 3) for number in range(3)]


def shards(folder: Path, rows: tuple[int, ...] = (0, 2, 4)) -> dict[str, torch.Tensor]:
    """Three files with pieces of a matrix of five rows, of one with a single row, and a number."""
    generator = torch.Generator().manual_seed(2)
    matrix, single = torch.randn(5, 3, 2, generator=generator), torch.randn(1, 4, generator=generator)
    for name, first in zip(NAMES, rows, strict=True):
        pieces = {"matrix": matrix[first : first + 2], "single": single[: 1 if first == 0 else 0]}
        pieces |= {"step": torch.tensor(7.0)} if first == 0 else {}
        write_shard(folder / name, pieces, {"matrix": first, "single": min(first, 1)}, "the pieces")
    return {"matrix": matrix, "single": single, "step": torch.tensor(7.0)}


def test_pieces_are_read_whole_and_by_rows(tmp_path: Path) -> None:
    right, found = shards(tmp_path), open_shards(tmp_path, NAMES[::-1])
    assert found.keys() == right.keys()
    for name, value in right.items():
        assert found[name].shape == tuple(value.shape) and torch.equal(found[name].read(), value)
    part = found["matrix"].read_part
    assert part is not None
    for start in range(31):
        for stop in range(start, 31):
            assert torch.equal(part(start, stop), right["matrix"].reshape(-1)[start:stop])
    (tmp_path / NAMES[2]).unlink()
    with pytest.raises(InputError, match=NAMES[2]):
        open_shards(tmp_path, NAMES)


def test_the_reader_of_torch_takes_them(tmp_path: Path) -> None:
    if not hasattr(checkpoint, "HuggingFaceStorageReader"):
        pytest.skip("this torch has no reader of safetensors")
    right = shards(tmp_path)
    found = {name: torch.zeros_like(value) for name, value in right.items()}
    checkpoint.load(found, storage_reader=checkpoint.HuggingFaceStorageReader(str(tmp_path)), no_dist=True)
    assert all(torch.equal(value, right[name]) for name, value in found.items())


@pytest.mark.parametrize(
    ("rows", "words"), [((0, 2, 3), "do not fit together at row 4"), ((0, 3, 3), "at row 2"), ((1, 2, 3), "at row 0")]
)
def test_gaps_and_overlaps_are_told(tmp_path: Path, rows: tuple[int, ...], words: str) -> None:
    shards(tmp_path, rows)
    with pytest.raises(InputError, match=f"pieces of (matrix|single) do not fit together {words}|{words}"):
        open_shards(tmp_path, NAMES)


def test_files_without_places_are_told(tmp_path: Path) -> None:
    for metadata in (
        None, {"DCP_SHARDING_INFO": "x"}, {"DCP_SHARDING_INFO": "[]"}, {"DCP_SHARDING_INFO": '{"a": 3}'},
        {"DCP_SHARDING_INFO": '{"a": {"saved_offsets": [0]}}'}, {"DCP_SHARDING_INFO": '{"a": {"saved_offsets": [0, 1]}}'},
        {"DCP_SHARDING_INFO": '{"a": {"saved_offsets": [-1, 0]}}'},
    ):  # fmt: skip
        save_file({"a": torch.ones(2, 2)}, tmp_path / "a.safetensors", metadata=metadata)
        with pytest.raises(InputError, match=r"a\.safetensors"):
            open_shards(tmp_path, ["a.safetensors"])
    with pytest.raises(InputError, match="which is not in this folder"):
        open_shards(tmp_path, ["../a.safetensors"])
