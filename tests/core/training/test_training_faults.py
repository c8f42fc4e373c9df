"""Training on faulty data: a step that is not finite is left out and told, a file that is no shard is an InputError."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.data.latent_dataset import LatentDataset
from lumosx_core.data.latent_shards import LatentShard, SampleReferences, read_latents, write_latents
from lumosx_core.errors import InputError
from lumosx_core.model.config import PRESETS
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.nano.grounding import GroundedLoss
from lumosx_core.training.config import DEBUG, TrainingConfig
from lumosx_core.training.guards import StepGuard
from lumosx_core.training.losses import Loss
from lumosx_core.training.resume import load_state
from lumosx_core.training.train import train

MODEL = PRESETS["debug"]
SIZES = {
    "video": (4, 16, 2, 4, 6),
    "reference": (8, 16, 4, 6),
    "context": (4, 16, 24),
    "levels": (8, 16),
    "owners": (4, 2, 2, 3),
}
SAMPLES = [{"kinds": ["face", "attribute"], "subjects": [0, 0]}] * 3 + [{"kinds": ["object", "face"], "subjects": [None, 0]}]


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    return {
        name: torch.randint(-1, 2, shape, generator=generator, dtype=torch.int8)
        if name == "owners"
        else torch.randn(shape, generator=generator).half()
        for name, shape in SIZES.items()
    }


def write_shard(path: Path, content: dict[str, torch.Tensor] | None = None, **metadata: Any) -> Path:
    """A shard of four clips; metadata: JSON texts instead of the right ones, None to leave one out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = {"samples": json.dumps(SAMPLES), "empty_context": json.dumps([[0.5] * 24])} | metadata
    save_file(content or tensors(), path, metadata={k: v for k, v in texts.items() if v is not None})
    return path


def spoilt(path: Path, name: str, rows: slice, value: float = float("nan")) -> LatentDataset:
    content = tensors()
    content[name][rows, ..., 0] = value
    write_shard(path / "latents-0003.safetensors", content)
    return LatentDataset(path)


def all_finite(tree: Any) -> bool:
    if isinstance(tree, torch.Tensor):
        return bool(tree.isfinite().all())
    items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return all(map(all_finite, items))


@pytest.mark.parametrize(
    ("change", "loss", "losses", "norms", "sizes"),
    [
        (
            {},
            None,
            [1.8799374103546143, 2.0070791244506836, 1.9590480327606201, 2.0361828804016113],
            [0.32695019245147705, 0.3465581238269806, 0.3572562336921692, 0.36216795444488525],
            [6.4838876940441414, 5.656870314771538, 5.5979081136421955],
        ),
        (
            {
                "optimizer": "muon",
                "text_dropout": 0.3,
                "reference_dropout": 0.2,
                "frames": (1, 3),
                "steps": 6,
            },
            GroundedLoss(subject_weight=3.0, grounding=0.3, blocks=(1,)),
            [1.9344940185546875, 1.9688711166381836, 1.959559440612793, 2.05753231048584, 1.872894048690796, 2.249833106994629],
            [1.14944076538086, 0.600148379802704, 0.35943850874901, 0.89968717098236, 0.956199049949646, 1.02234482765198],
            [6.484265211381411, 5.656770030772742, 5.598517964050643],
        ),
    ],
    ids=["adamw", "muon"],
)
def test_a_clean_run_keeps_its_numbers(
    tmp_path: Path, change: dict, loss: Loss | None, losses: list[float], norms: list[float], sizes: list[float]
) -> None:
    """Losses, gradient norms and averaged weights as stored before there were checks: same samples, order and steps."""
    for index in range(2):
        generator = torch.Generator().manual_seed(index)
        kinds = [["face", "attribute", "face"] if n % 2 else ["face", "face"] for n in range(5)]
        content = {
            "video": torch.randn(5, 16, 3, 4, 6, generator=generator).half(),
            "reference": torch.randn(12, 16, 4, 6, generator=generator).half(),
            "context": torch.randn(5, 16, 24, generator=generator).half(),
            "levels": torch.rand(12, 16, generator=generator).half(),
            "owners": torch.randint(-1, 2, (5, 3, 2, 3), generator=generator, dtype=torch.int8),
        }
        samples = [{"kinds": k, "subjects": [0, 0, 1] if len(k) == 3 else [0, 1]} for k in kinds]
        write_shard(tmp_path / "data" / f"latents-{index:04d}.safetensors", content, samples=json.dumps(samples))
    seen: list[dict[str, float]] = []
    config = replace(DEBUG, **change)
    data = LatentDataset(tmp_path / "data")
    model = train(config, MODEL, data, tmp_path / "run", loss=loss, on_step=lambda _, figures: seen.append(figures))
    state = model.state_dict()
    assert [figures["loss"] for figures in seen] == pytest.approx(losses, rel=1e-5)
    assert [figures["norm"] for figures in seen] == pytest.approx(norms, rel=1e-4)
    assert [value.double().norm().item() for value in list(state.values())[::23]] == pytest.approx(sizes, rel=1e-6)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["video", "reference", "context", "levels"])
def test_a_step_that_is_not_finite_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, value: float
) -> None:
    data = spoilt(tmp_path, name, slice(None), value)
    assert "latents-0003.safetensors holds values that are not finite (NaN or infinite) in row 0, 1, 2, 3" in caplog.text
    config = replace(DEBUG, steps=2, batch=1, text_dropout=0.0)
    seen: list[float] = []
    caplog.clear()
    trained = train(config, MODEL, data, tmp_path, on_step=lambda _, figures: seen.append(figures["loss"])).state_dict()
    torch.manual_seed(config.seed)
    fresh = LumosXTransformer(MODEL)
    fresh.initialize_weights()
    assert all(torch.equal(value, trained[name]) for name, value in fresh.state_dict().items())
    assert len(seen) == 2 and not np.isfinite(seen).any()
    assert caplog.text.count("is left out, since its values are not finite") == 2
    assert "samples: latents-0003.safetensors row " in caplog.text


def test_one_spoilt_sample_costs_its_steps_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = spoilt(tmp_path / "data", "video", slice(1, 2))
    config = replace(DEBUG, steps=16, batch=1, learning_rate=3e-3, save_every=8)
    losses: list[float] = []
    caplog.clear()
    trained = train(config, MODEL, data, tmp_path, on_step=lambda _, figures: losses.append(figures["loss"]))
    left_out = [record.getMessage() for record in caplog.records]
    assert 0 < len(left_out) == int((~np.isfinite(losses)).sum()) < 9
    assert all(line.endswith("; samples: latents-0003.safetensors row 1") for line in left_out)
    assert all_finite(trained.state_dict()) and all_finite(load_state(tmp_path, MODEL.to_json()))


@pytest.mark.parametrize(("change", "steps"), [({}, 5), ({"skipped_in_a_row": 2}, 2)])
def test_too_many_in_a_row_stop_the_run(tmp_path: Path, change: dict, steps: int) -> None:
    data = spoilt(tmp_path / "data", "context", slice(None))
    config = replace(DEBUG, steps=40, save_every=100, text_dropout=0.0, **change)
    with pytest.raises(InputError, match=rf"{steps} steps in a row, up to step {steps}, .*latents-0003.*row \d.*Look for NaN"):
        train(config, MODEL, data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_only_steps_in_a_row_count() -> None:
    guard = StepGuard("training", 3)
    bad, good = {"loss": 0.1, "gradient norm": float("inf")}, {"loss": 0.1, "gradient norm": 1e30}
    assert [guard.counts(n, b, {"a": 0.1}) for n, b in enumerate((bad, bad, good, bad, bad))] == [
        False,
        False,
        True,
        False,
        False,
    ]
    with pytest.raises(InputError, match=r"3 steps in a row, up to step 6, .*gradient norm inf.*of these steps: a, b\."):
        guard.counts(5, bad, {"b": 0.1})


def test_a_run_that_diverges_leaves_no_file_that_is_not_finite(tmp_path: Path) -> None:
    write_shard(tmp_path / "latents-0.safetensors")
    config = replace(DEBUG, steps=60, learning_rate=1e6, warmup_steps=0, save_every=1)
    with pytest.raises(InputError, match="not finite.*lower the learning rate"):
        train(config, MODEL, LatentDataset(tmp_path), tmp_path / "run")
    assert all_finite(load_state(tmp_path / "run", None))


def test_initial_weights_that_do_not_fit_are_told(tmp_path: Path) -> None:
    write_shard(tmp_path / "latents-0.safetensors")
    data, state = LatentDataset(tmp_path), LumosXTransformer(MODEL).state_dict()
    name = next(iter(state))
    for wrong, words in (
        ({**state, name: state[name] * float("nan")}, f"the weights to start from: .* not finite .*{name}"),
        ({**state, name: state[name][:1]}, "the weights to start from does not fit the model: 1 of the wrong shape"),
    ):
        with pytest.raises(InputError, match=words):
            train(DEBUG, MODEL, data, tmp_path / "run", initial=wrong)


def test_shards_of_different_sizes_share_no_batch_and_other_widths_are_told(tmp_path: Path) -> None:
    write_shard(tmp_path / "latents-0.safetensors")
    content = tensors()
    wide = {"video": content["video"].repeat(1, 1, 1, 1, 2), "owners": content["owners"].repeat(1, 1, 1, 2)}
    write_shard(tmp_path / "latents-1.safetensors", content | wide | {"reference": content["reference"].repeat(1, 1, 1, 2)})
    data = LatentDataset(tmp_path)
    assert len(data) == 8 and len(data.buckets) == 4
    assert {data.batch(3, 0, step).video.shape[-1] for step in range(20)} == {6, 12}
    with pytest.raises(
        InputError, match="16 latent channels and texts of 16 tokens x 24, but the transformer reads .* 512 tok"
    ):
        train(DEBUG, PRESETS["t2v_1_3b"], data, tmp_path)
    narrow = {"video": content["video"][:, :8].contiguous(), "reference": content["reference"][:, :8].contiguous()}
    write_shard(tmp_path / "latents-2.safetensors", content | narrow)
    with pytest.raises(InputError, match="latents-2.safetensors has 8 latent channels .*latents-0.safetensors has 16"):
        data.refresh()
    with pytest.raises(InputError, match="grounding of 2 heads in the blocks .*the model has 2 heads and the blocks 0 to 1"):
        train(DEBUG, MODEL, data, tmp_path, loss=GroundedLoss(grounding=0.1, blocks=(2,)))


def cut_or_flipped(content: bytes, rng: np.random.Generator) -> bytes:
    """Cut at a random place; or a few bytes exchanged, most of them in the header."""
    if rng.random() < 0.5:
        return content[: int(rng.integers(len(content)))]
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 8))):
        changed[int(rng.integers(min(len(changed), 1500) if rng.random() < 0.8 else len(changed)))] = int(rng.integers(256))
    return bytes(changed)


FOREIGN = (
    b"",
    b"{}",
    b"PK\x03\x04",
    b"<!DOCTYPE html><html></html>",
    b"version https://git-lfs.github.com/spec/v1\n",
    b"GGUF\x03",
)
JUNK_JSON = ("", "nan", "[" * 100_000, "9" * 5000, "null", "{}", "[]", "[[]]", "[null]", '["x"]', "[[1e999]]", "[1, 2, 3, 4]")


def test_damaged_shards_are_input_errors(tmp_path: Path) -> None:
    """340 shards: cuts, exchanged bytes, tensors of other shapes and types, metadata of something else."""
    rng = np.random.default_rng(5)
    path = write_shard(tmp_path / "latents-0.safetensors")
    whole, right = path.read_bytes(), tensors()
    assert len(read_latents(path)[0]) == 4
    for content in (*FOREIGN, *(cut_or_flipped(whole, rng) for _ in range(150))):
        path.write_bytes(content)
        try:
            samples, _ = read_latents(path)
            assert len(content) == len(whole) and len(samples) == 4
        except InputError as error:
            assert path.name in str(error)

    def refused(content: dict, **metadata: Any) -> None:
        write_shard(path, {k: v.contiguous() for k, v in content.items()}, **metadata)
        with pytest.raises(InputError, match=r"latents-0\.safetensors"):
            read_latents(path)

    changes: list[Callable[[torch.Tensor], torch.Tensor]] = [
        lambda x: x[None],
        lambda x: x[0],
        lambda x: x.flatten(),
        lambda x: x.double(),
        lambda x: x.int(),
        lambda x: x > 0,
        lambda x: torch.zeros(()).to(x.dtype),
        lambda x: x[:, :0],
        lambda x: x.to(torch.complex64),
    ]
    for name in right:
        refused({k: v for k, v in right.items() if k != name})
        for change in changes:
            refused(right | {name: change(right[name])})
        for _ in range(15):
            axis = int(rng.integers(right[name].ndim))
            sizes = [n + int(rng.integers(1, 3)) if k == axis else n for k, n in enumerate(right[name].shape)]
            refused(right | {name: torch.zeros(sizes, dtype=right[name].dtype)})
    refused({k: v[:0] for k, v in right.items()}, samples="[]")
    odd = {"video": right["video"][..., :5], "reference": right["reference"][..., :5], "owners": right["owners"][..., :2]}
    refused(right | odd)
    for value in (-2, 2, 127):
        refused(right | {"owners": torch.full(SIZES["owners"], value, dtype=torch.int8)})
    for name in ("samples", "empty_context"):
        refused(right, **{name: None})
        for text in JUNK_JSON:
            refused(right, **{name: text})
    for kinds, subjects in (
        (["face", "face"], [0]),
        (["face"], [0]),
        (["face", "nose"], [0, 0]),
        (["face", "object"], [0, None]),
        (["face", "face"], [1, 0]),
        (["face", "face"], [0, None]),
        (["face", "face"], [0, True]),
        (["face", "face"], [0, 0.5]),
        ("face", [0, 0]),
        (None, [0, 0]),
    ):
        refused(right, samples=json.dumps([*SAMPLES[:3], {"kinds": kinds, "subjects": subjects}]))
    for rows in ([[0.5] * 23], [[0.5] * 24] * 17, [["a"] * 24], [[None] * 24], [[True] * 24], [[1e39] * 24], [[10**400] * 24]):
        refused(right, empty_context=json.dumps(rows))


@pytest.mark.parametrize("change", [{"skipped_in_a_row": 0}, {"betas": (0.9,)}, {"learning_rate": float("nan")}])
def test_wrong_settings_are_told(change: dict) -> None:
    with pytest.raises(InputError, match=f"training: {next(iter(change))} "):
        TrainingConfig(**{"steps": 1, "batch": 1, **change})


def test_the_progress_bar_shows_the_loss(capsys: pytest.CaptureFixture[str]) -> None:
    from lumosx_core.cli.progress import ProgressBars

    with ProgressBars() as progress:
        progress("training", 1, 2, "loss 0.1250")
        progress("training", 2, 2, "loss 0.0625")
    assert "loss 0.0625" in capsys.readouterr().err


def test_logging_is_by_the_core(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert not StepGuard("vae").counts(0, {"loss": float("nan")})
    assert caplog.records[0].name == "lumosx_core.training.guards"


def test_a_shard_of_spans_reads_as_its_levels_and_writes_back(tmp_path: Path) -> None:
    content = tensors()
    del content["levels"]
    spans = [[[[0, 2]], [[3, 5], [7, 8]]]] * 3 + [[[[1, 2]], []]]
    samples = [sample | {"spans": own} for sample, own in zip(SAMPLES, spans, strict=True)]
    rows, empty = read_latents(write_shard(tmp_path / "latents-0.safetensors", content, samples=json.dumps(samples)))
    both = [1.0, 1, 0, 1, 1, 0, 0, 1]  # one subject: all that is its own
    assert rows[0].levels[:, :8].tolist() == [both, both] and not rows[0].levels[:, 8:].any()
    assert rows[3].levels[:, :3].tolist() == [[0, 1, 0], [0, 0, 0]]
    shard = LatentShard(
        **{name: content[name] for name in ("video", "reference", "context", "owners")},
        samples=[SampleReferences(kinds=row.kinds, subjects=row.subjects, spans=row.spans) for row in rows],
        empty_context=empty,
    )
    again, _ = read_latents(write_latents(tmp_path / "latents-1.safetensors", shard))
    for one, two in zip(rows, again, strict=True):
        assert one.spans == two.spans and all(
            torch.equal(getattr(one, n), getattr(two, n)) for n in ("video", "levels", "owners")
        )
    for wrong in (None, [[[0, 2]]], [[[0, 2]], [[15, 17]]], [[[0, 2]], [[3, 2]]], [[[0, 2]], [[-1, 2]]], [[[0, 2]], "x"]):
        bad = json.dumps([*samples[:3], SAMPLES[3] | {"spans": wrong}])
        with pytest.raises(InputError, match=r"latents-2.*row 3"):
            read_latents(write_shard(tmp_path / "latents-2.safetensors", content, samples=bad))
