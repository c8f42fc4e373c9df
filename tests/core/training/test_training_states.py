"""States of training that are cut, foreign or damaged, of today and of older runs: only InputError, and none with values that
are not finite is written."""

import io
import json
import os
import pickle
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lumosx_core.errors import InputError
from lumosx_core.files.leftovers import PARTIAL, hidden_name
from lumosx_core.model.config import PRESETS
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.nano.stage_state import load_stage, save_stage
from lumosx_core.nano.vae import VaeRecipe
from lumosx_core.training.config import DEBUG
from lumosx_core.training.optimizers import make_optimizers
from lumosx_core.training.parallelize import Processes
from lumosx_core.training.resume import load_optimizer, load_state, save_state
from lumosx_core.training.state_folder import (
    last_state,
    read_state_folder,
    remove_older,
    states_of,
    write_state_folder,
)

CONFIG = replace(DEBUG, optimizer="muon")
SMALL = replace(PRESETS["debug"], num_layers=1, dim=8, ffn_dim=8, num_heads=1, freq_dim=4)
FOREIGN = (
    b"",
    b"{}",
    b"PK\x03\x04",
    b"<!DOCTYPE html><html></html>",
    b"version https://git-lfs.github.com/spec/v1\n",
    b"GGUF\x03",
)
JUNK_JSON = ("", "nan", "[" * 100_000, "9" * 5000, "null", "{}", "[]", "[[]]", "[null]", '["x"]', "[[1e999]]", "[1, 2, 3, 4]")
JUNK: tuple[Any, ...] = (
    None, True, -1, 0.5, 10**30, "x", b"x", [], {}, [None], {"a": 1}, (1, 2), torch.zeros(()),
    torch.zeros(3, dtype=torch.int64), torch.full((2, 3), float("nan")), torch.eye(3).to_sparse(),
    torch.zeros(0), torch.zeros(2, device="meta"),
)  # fmt: skip


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of a small model after one step of both optimizers, as older runs wrote it."""
    model = LumosXTransformer(SMALL)
    model.initialize_weights()
    optimizers = make_optimizers(model, CONFIG)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    for optimizer in optimizers:
        optimizer.step()
    path, weights = tmp_path_factory.mktemp("state") / "state.pt", model.state_dict()
    average = {name: value.clone() for name, value in weights.items()}
    states = [optimizer.state_dict() for optimizer in optimizers]
    content = {"step": 1, "config": asdict(CONFIG), "model": weights, "ema": average, "optimizers": states}
    torch.save(content | {"model_config": SMALL.to_json(), "base": "", "guard": {}}, path)
    return path


def all_finite(tree: Any) -> bool:
    if isinstance(tree, torch.Tensor):
        return bool(tree.isfinite().all())
    items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return all(map(all_finite, items))


def cut_or_flipped(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut at a random place; or a few bytes exchanged, most of them in the header."""
    if rng.random() < 0.5:
        return content[: int(rng.integers(len(content)))]
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 8))):
        changed[int(rng.integers(min(len(changed), 1500) if rng.random() < 0.8 else len(changed)))] = int(rng.integers(256))
    return bytes(changed)


def resume(path: Path) -> None:
    """What a run does with its state, a file or a folder."""
    found = load_state(path.parent if path.is_file() else path, SMALL.to_json())
    assert found is not None
    model = LumosXTransformer(SMALL)
    optimizers = make_optimizers(model, CONFIG)
    if len(found["optimizers"]) != 2:
        raise InputError("another number of optimizers")
    for optimizer, saved in zip(optimizers, found["optimizers"], strict=True):
        load_optimizer(optimizer, saved, path)
    model.load_state_dict(found["model"])
    assert all_finite(found["model"]) and all_finite(found["ema"])
    assert all_finite([optimizer.state_dict() for optimizer in optimizers])


def test_damaged_states_are_input_errors(state: Path, tmp_path: Path) -> None:
    """About 290 states: cuts, exchanged bytes, other files, and every field and many tensors exchanged for junk."""
    rng = np.random.default_rng(6)
    path, whole, right = tmp_path / "state.pt", state.read_bytes(), torch.load(state)
    resume(state)
    light = right | {"model": {"a": torch.ones(2)}, "ema": {}, "optimizers": []}  # quick to read; wrong in the end
    torch.save(light, path)
    short = path.read_bytes()
    others = [pickle.dumps(value) for value in ([1], {"a": 1}, Path("x"), print)]
    broken = [cut_or_flipped(short, rng) for _ in range(120)] + [cut_or_flipped(whole, rng) for _ in range(15)]
    for content in (*FOREIGN, *others, *broken):
        path.write_bytes(content)
        try:
            resume(path)
            assert len(content) == len(whole)
        except InputError as error:
            assert "weights_only" not in str(error)

    def refused(content: Any, words: str) -> None:
        torch.save(content, path)
        with pytest.raises(InputError, match=words):
            resume(path)

    endless: dict = {}
    endless["model"] = endless
    for content in ([], torch.zeros(2), {}, right["model"], light | endless):
        refused(content, r"state\.pt")
    for name, value in light.items():
        if name not in ("base", "guard"):  # older states lack them
            refused(
                {k: v for k, v in light.items() if k != name},
                f"is no training state of this kind: {name} missing or of another type",
            )
        for junk in JUNK:
            kind = dict if isinstance(value, dict) else type(value)
            if not isinstance(junk, kind):
                refused(light | {name: junk}, f"is no training state of this kind: {name} missing or of another type")
    for step in (-1, 10**30, True):
        refused(light | {"step": step}, "step is .*, expected a whole number from 0")
    for text in (*JUNK_JSON, SMALL.to_json().replace('"num_layers": 1', '"num_layers": 1000000')):
        torch.save(light | {"model_config": text}, path)
        with pytest.raises(InputError, match=r"state\.pt.*(transformer config|blocks)"):
            load_state(path.parent, None)
    for _ in range(30):
        junk = JUNK[int(rng.integers(len(JUNK)))]
        part = ("model", "ema", "optimizers")[int(rng.integers(3))]
        tree: Any = dict(right[part]) if part != "optimizers" else [dict(right[part][0]), right[part][1]]
        if part != "optimizers":
            tree[list(tree)[int(rng.integers(len(tree)))]] = junk
        else:
            entries = dict(tree[0]["state"])
            index = list(entries)[int(rng.integers(len(entries)))]
            entries[index] = junk if rng.random() < 0.3 else entries[index] | {"exp_avg": junk}
            tree[0]["state"] = entries
        refused(right | {part: tree}, r"state\.pt")
    first = right["optimizers"][0]
    for entry in ({}, first["state"][0] | {"step": torch.tensor(-1.0)}, first["state"][0] | {"more": torch.ones(1)}):
        refused(
            right | {"optimizers": [first | {"state": first["state"] | {0: entry}}, right["optimizers"][1]]},
            "optimizer's state",
        )
    refused(right | {"optimizers": [first, first]}, "optimizer's state")


def test_states_that_are_not_finite_are_never_written(state: Path, tmp_path: Path) -> None:
    right = torch.load(state)
    names = ("step", "model", "ema", "optimizers", "model_config")
    last = save_state(tmp_path, config=DEBUG, **{name: right[name] for name in names})
    before = {path.name: path.read_bytes() for path in last.iterdir()}
    (tmp_path / "older").mkdir()
    for choose in (
        lambda s: s["model"]["head.modulation"],
        lambda s: s["ema"]["head.modulation"],
        lambda s: s["optimizers"][0]["state"][0]["exp_avg_sq"],
        lambda s: s["optimizers"][1]["state"][0]["momentum_buffer"],
    ):
        spoilt = torch.load(state)
        choose(spoilt).view(-1)[-1] = float("inf")
        parts = {name: spoilt[name] for name in names}
        for step in (1, 2):
            with pytest.raises(InputError, match="1 values in 1 of .* tensors are not finite .*it was not written"):
                save_state(tmp_path, config=DEBUG, **parts | {"step": step})
        assert last_state(tmp_path) == last and {path.name: path.read_bytes() for path in last.iterdir()} == before
        torch.save(spoilt, tmp_path / "older" / "state.pt")
        with pytest.raises(InputError, match="not finite.*delete it to begin again"):
            resume(tmp_path / "older" / "state.pt")


def test_damaged_folders_of_a_state_are_input_errors(state: Path, tmp_path: Path) -> None:
    """About 230 of them: cuts and exchanged bytes of both files, every field exchanged for junk, files that are not there."""
    rng, right = np.random.default_rng(9), torch.load(state)
    parts = {name: right[name] for name in ("step", "model", "ema", "optimizers", "model_config")}
    folder = save_state(tmp_path, config=CONFIG, guard={"losses": [], "spikes": [], "in_a_row": 0}, **parts)
    resume(tmp_path)
    record, shard = folder / "state.json", folder / "shard-00001-of-00001.safetensors"
    for path in (record, shard):
        whole = path.read_bytes()
        for content in (*FOREIGN, *(cut_or_flipped(whole, rng) for _ in range(60))):
            path.write_bytes(content)
            try:
                resume(tmp_path)
                assert len(content) == len(whole)
            except InputError as error:
                assert str(tmp_path) in str(error)
        path.write_bytes(whole)
    content = json.loads(record.read_text("utf-8"))
    table = dict(content["state"]["table"])

    def refused(changed: Any) -> None:
        record.write_text(json.dumps(changed), "utf-8")
        with pytest.raises(InputError, match="state"):
            resume(tmp_path)

    plain = [junk for junk in JUNK if not isinstance(junk, bytes | torch.Tensor | tuple)]
    for junk in (*plain, ["a"], ["../x"], ["shard-00002-of-00002.safetensors"], [record.name]):
        refused(content | {"shards": junk})
        refused(content | {"state": junk})
    for name in set(table) - {"base", "guard"}:
        for junk in (*plain, {"tensor": "nothing"}, {"tensor": "model.head.modulation"}, {"table": [[1]]}, {"tuple": 3}):
            if type(junk) is not type(table[name]) or isinstance(junk, dict):
                refused(content | {"state": {"table": [*(table | {name: junk}).items()]}})
    record.write_text(json.dumps(content), "utf-8")
    resume(tmp_path)
    shard.unlink()
    with pytest.raises(InputError, match="shard-00001-of-00001"):
        resume(tmp_path)


def test_what_is_kept_of_states(tmp_path: Path) -> None:
    for step in (5, 10, 15, 20, 25):
        write_state_folder(tmp_path, step, {"limit": float("inf"), "pair": (1, [True, None])}, "the state", Processes())
    assert read_state_folder(tmp_path / "states" / "step-00000005", "", lambda _, stored: stored.read()) == {
        "limit": float("inf"),
        "pair": (1, [True, None]),
    }
    remove_older(tmp_path, 2, 10)
    assert list(states_of(tmp_path)) == [10, 20, 25]
    (tmp_path / "states" / ".step-00000030.partial").mkdir()
    assert last_state(tmp_path) == tmp_path / "states" / "step-00000025"
    left = hidden_name(tmp_path / "states" / "step-00000005", PARTIAL)  # as of a process that is gone
    left = left.with_name(left.name.replace(f"-{os.getpid()}-", "-4194304-"))
    left.mkdir()
    remove_older(tmp_path, 1, 0)
    assert list(states_of(tmp_path)) == [25] and not left.exists()


def test_damaged_states_of_a_stage_are_input_errors(tmp_path: Path) -> None:
    """About 190 states; nothing is taken up from a faulty one."""
    rng, recipe, path = np.random.default_rng(8), VaeRecipe(), tmp_path / "state.pt"
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    save_stage(path, recipe, [0, 5], model, optimizer, rng)
    whole, right = path.read_bytes(), torch.load(path)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def take_up() -> None:
        begun = load_stage(path, recipe, model, rng, (1, 9))
        assert begun is not None and begun[0] == [0, 5]
        load_optimizer(optimizer, begun[1], path)

    take_up()
    for content in (*FOREIGN, *(cut_or_flipped(whole, np.random.default_rng(n)) for n in range(60))):
        path.write_bytes(content)
        try:
            take_up()
            assert len(content) == len(whole)
        except InputError:
            continue
    model.load_state_dict(before)
    numbers = rng.bit_generator.state

    def refused(content: dict) -> None:
        torch.save(content, path)
        with pytest.raises(InputError, match=r"state\.pt"):
            take_up()
        assert rng.bit_generator.state == numbers and all(torch.equal(v, before[k]) for k, v in model.state_dict().items())

    for name in right:
        refused({k: v for k, v in right.items() if k != name})
        if name == "optimizer":
            continue
        for junk in JUNK:
            refused(right | {name: junk})
    for position in ([5], [0, 5, 0], [0, -1], [2, 0], [0, 10], [0, 0.5], [0, "x"], [0, float("nan")]):
        refused(right | {"position": position})
    for text in (*JUNK_JSON, json.dumps({"bit_generator": "MT19937"}), json.dumps({"bit_generator": "PCG64", "state": 1})):
        refused(right | {"numpy": text})
    model.weight.data[0, 0] = float("nan")
    buffer = io.BytesIO(path.read_bytes())
    with pytest.raises(InputError, match="not finite .*it was not written"):
        save_stage(path, recipe, [0, 6], model, optimizer, rng)
    assert path.read_bytes() == buffer.getvalue()
