"""What the released model needs and where, counted on files of its true shapes without content; `doctor MODEL`, and latents
that are decoded later."""

import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from lumosx_core.checks.speed_case import layout_with
from lumosx_core.cli.main import main
from lumosx_core.model import vae as vae_module
from lumosx_core.model.config import PRESETS
from lumosx_core.model.devices import GIB
from lumosx_core.model.text_encoder import load_text_encoder
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.puppets.samples import SAMPLES_FOLDER
from lumosx_core.sampling.config import PipelineDefaults, save_defaults
from lumosx_core.sampling.memory_plan import planned
from lumosx_core.sampling.model_report import memory_while_loading, report_model, resident_plan
from lumosx_core.sampling.pipeline import NANO_FOLDER, GenerationMemory

UMT5_XXL = {
    "vocab_size": 256384, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64,
    "relative_attention_num_buckets": 32,
}  # fmt: skip


def hollow_file(path: Path, shapes: dict[str, tuple[int, ...]], metadata: dict[str, str], stored: str = "BF16") -> None:
    """A whole safetensors file of these shapes whose content is a hole: it takes no place on the disk."""
    width = {"BF16": 2, "F32": 4}[stored]
    header: dict[str, object] = {"__metadata__": metadata}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + width * math.prod(shape)
        header[name] = {"dtype": stored, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def shapes_of(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released 1.3B model with UMT5-xxl and the Wan VAE in their true shapes, hollow."""
    from diffusers import AutoencoderKLWan
    from transformers import UMT5Config, UMT5EncoderModel

    folder = tmp_path_factory.mktemp("released")
    sizes = PRESETS["t2v_1_3b"]
    with torch.device("meta"):
        transformer, vae = LumosXTransformer(sizes), AutoencoderKLWan()
        text = UMT5EncoderModel(UMT5Config(**UMT5_XXL, feed_forward_proj="gated-gelu"))
    hollow_file(
        folder / "transformer.safetensors",
        shapes_of(transformer),
        {"format": "lumosx-transformer", "config": sizes.to_json()},
    )
    config = {key: value for key, value in dict(vae.config).items() if not key.startswith("_")}
    hollow_file(folder / "vae.safetensors", shapes_of(vae), {"format": "lumosx-vae", "config": json.dumps(config)}, "F32")
    shapes = {name: shape for name, shape in shapes_of(text).items() if name != "encoder.embed_tokens.weight"}
    metadata = {"format": "lumosx-text-encoder", "config": json.dumps(UMT5_XXL)}
    hollow_file(folder / "text_encoder.safetensors", shapes, metadata)
    shutil.copy(NANO_FOLDER / "spiece.model", folder)
    save_defaults(folder, PipelineDefaults())
    return folder


def test_the_released_model_needs_one_model_at_a_time(released: Path) -> None:
    """15.7 GiB when everything is on the card at once."""
    assert [part.name for part in report_model(released) if part.fault] == []
    plan = {stage: round(count / GIB, 1) for stage, count in resident_plan(released, torch.bfloat16).items()}
    assert plan == {"text encoding": 10.6, "references": 0.5, "sampling": 2.6, "decoding": 0.5}
    assert max(resident_plan(released, torch.float32).values()) < 21.2 * GIB
    assert memory_while_loading(released, torch.bfloat16) == (released / "text_encoder.safetensors").stat().st_size
    assert 31 * GIB < memory_while_loading(released, torch.float32) < 32 * GIB


def test_the_released_model_fits_eight_gib(released: Path) -> None:
    """81 frames at 832 x 480 with nine references in bf16."""
    layout = layout_with(21, 30, 52, single=3, groups=[3, 3])
    sizes, config = PRESETS["t2v_1_3b"], PipelineDefaults().config
    plan = planned(released, sizes, config, layout, dtype=torch.bfloat16, device="cuda", gib=8)
    assert plan.memory == GenerationMemory(cfg_batched=True, text_on_cpu=True, streamed=False, decode_from=1)
    assert 5 * GIB < plan.peak == plan.stages["sampling"] < 7 * GIB and set(plan.stages) == {
        "references",
        "sampling",
        "decoding",
    }


def test_the_plan_is_what_loading_takes() -> None:
    """The embedding is there once, also where loading changes the type of the weights, and where the model is moved."""
    plan = resident_plan(NANO_FOLDER, torch.bfloat16)
    encoder = load_text_encoder(NANO_FOLDER / "text_encoder.safetensors", NANO_FOLDER, dtype=torch.bfloat16).model
    for model in (encoder, encoder.to(torch.float64).to(torch.bfloat16)):
        storages = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for _, p in model.named_parameters()}
        assert sum(storages.values()) == plan["text encoding"]
        assert model.encoder.embed_tokens.weight is model.shared.weight


def test_doctor_tells_what_a_model_folder_holds(
    released: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lumosx_core.cli.doctor.machine_memory", lambda: 16 * GIB)
    assert main(["doctor", str(released)]) == 0
    told = capsys.readouterr().out
    assert "81 frames of 832 x 480 pixels" in told and "would load" in told
    assert "1,419.0 million weights in BF16: width 1536, 30 blocks, reads 512 tokens" in told
    assert "--dtype bf16: GiB of weights on the device, one model at a time: text encoding 10.58, references 0.47" in told
    assert "this machine has 16.0, enough" in told and "about 31.7" in told and "this machine has 16.0, NOT enough" in told
    if not torch.cuda.is_available():
        plans = told.partition("81 frames of 832 x 480 with 9 pictures")[2].splitlines()[1:]
        assert [float(plan.split()[0]) for plan in plans] == [6, 8, 12, 16]
        assert (
            plans[0].split(maxsplit=1)[1].startswith("4.32 at its peak: text encoding on the CPU, once, sampling one pass at")
        )
        assert plans[-1].endswith("sampling both passes at once, decoding float32")


def test_doctor_finds_what_would_not_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(spoil: str) -> list[str]:
        folder = tmp_path / spoil
        shutil.copytree(NANO_FOLDER, folder)
        transformer, vae = folder / "transformer.safetensors", folder / "vae.safetensors"
        if spoil == "missing":
            vae.unlink()
        elif spoil == "cut":
            transformer.write_bytes(transformer.read_bytes()[:-100])
        elif spoil == "exchanged":
            shutil.copyfile(vae, transformer)
        elif spoil == "folder":
            vae.unlink()
            vae.mkdir()
        elif spoil == "other":
            hollow_file(folder / "text_encoder.safetensors", {"x": (2, 3)}, {"format": "lumosx-text-encoder"})
        elif spoil == "absurd":
            config = json.dumps(UMT5_XXL | {"num_layers": 10**6})
            hollow_file(folder / "text_encoder.safetensors", {"x": (2, 3)}, {"format": "lumosx-text-encoder", "config": config})
        elif spoil == "defaults":
            (folder / "pipeline.json").write_text("{}x")
        else:
            (folder / "spiece.model").write_bytes(b"no model")
        return [f"{part.name}: {part.fault}" for part in report_model(folder) if part.fault]

    for spoil, words in {
        "missing": "vae.safetensors: missing",
        "cut": "transformer.safetensors: ",
        "exchanged": "transformer.safetensors: ",
        "folder": "vae.safetensors: no file",
        "other": "text_encoder.safetensors: ",
        "absurd": "text_encoder.safetensors: ",
        "defaults": "pipeline.json: ",
        "tokenizer": "tokenizer: ",
    }.items():
        [fault] = told(spoil)
        assert fault.startswith(words)
    assert main(["doctor", str(tmp_path / "cut")]) == 1
    assert "FAULT: " in (out := capsys.readouterr().out) and "would not load" in out


def test_a_kept_latent_becomes_the_same_video_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*arguments: object) -> None:  # noqa: ARG001
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 GiB")

    sample = str(SAMPLES_FOLDER / "two_people")
    fast = ["--frames", "5", "--steps", "1", "--seed", "4", "--png", "--out"]
    assert main(["generate", sample, *fast, str(tmp_path / "whole")]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(vae_module, "decode_video", full)
        assert main(["generate", sample, *fast, str(tmp_path / "cut")]) == 2
    kept = tmp_path / "cut" / "two_people_4.latent.safetensors"
    message = capsys.readouterr().err
    assert f"--latent {kept}" in message and "download" not in message
    assert main(["generate", sample, "--latent", str(kept), "--png", "--out", str(tmp_path / "cut")]) == 0
    made = [path for path in sorted((tmp_path / "whole").rglob("*")) if path.is_file()]
    assert len(made) == 8
    for path in made:
        assert path.read_bytes() == (tmp_path / "cut" / path.relative_to(tmp_path / "whole")).read_bytes()
    useless = [
        "--lora",
        "x.safetensors",
        "--prompt",
        "a man",
        "--seed",
        "1",
        "2",
        "--batch",
        "2",
        "--steps",
        "3",
        "--dtype",
        "bf16",
    ]
    useless += ["--on-problem", "error", "--memory", "8", "--sequential-cfg", "--blank-tokens", "drop"]
    assert main(["generate", sample, "--latent", str(kept), *useless, "--out", str(tmp_path / "no")]) == 2
    names = "--prompt, --lora, --dtype, --memory, --on-problem, --seed, --batch, --steps, --blank-tokens, --sequential-cfg"
    assert f"{names}: without effect on a latent that is sampled already; leave out" in capsys.readouterr().err
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["generate", sample, "--latent", str(kept), "--out", str(tmp_path / "no")]) == 2
    assert "--latent makes one video in one process; start it without torchrun" in capsys.readouterr().err
    monkeypatch.delenv("WORLD_SIZE")
    assert not (tmp_path / "no").exists()
    assert main(["generate", sample, "--latent", str(NANO_FOLDER / "vae.safetensors"), "--out", str(tmp_path / "x")]) == 2
    assert "is no latent" in capsys.readouterr().err
