"""Weights out of ComfyUI's folder of diffusion models: loaded as they were released, and converted once."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from lumosx_core.errors import InputError
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.transformer import LumosXTransformer

# Sizes that the host reads off the weights: it takes heads of 128, a text of 4096 and 256 frequencies for granted.
SMALL = TransformerConfig(dim=256, num_heads=2, num_layers=2, ffn_dim=64, freq_dim=256, text_dim=4096, text_len=16)
State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def nodes(pack: Callable[[str], ModuleType]) -> ModuleType:
    return pack("nodes.model_nodes")


@pytest.fixture(scope="module")
def weights() -> tuple[State, State]:
    """(ema, model): different ones."""
    torch.manual_seed(0)
    return tuple(
        {key: torch.randn_like(value) * 0.05 for key, value in LumosXTransformer(SMALL).state_dict().items()} for _ in range(2)
    )  # type: ignore[return-value]


@pytest.fixture
def folder(comfyui: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's only folder of diffusion models."""
    assert comfyui.is_dir()
    import folder_paths

    folder = tmp_path / "diffusion_models"
    folder.mkdir()
    suffixes = folder_paths.folder_names_and_paths["diffusion_models"][1]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "diffusion_models", ([str(folder)], suffixes))
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    return folder


@pytest.fixture
def released(folder: Path, weights: tuple[State, State]) -> Path:
    torch.save({"ema": weights[0], "model": weights[1]}, folder / "LumosX.pt")
    return folder


def choices(node: Any) -> list[str]:
    return next(item for item in node.define_schema().inputs if item.id == "file").options


def same(loaded: State, expected: State) -> bool:
    assert set(loaded) == set(expected)
    return all(torch.equal(loaded[key].float(), value.to(loaded[key].dtype).float()) for key, value in expected.items())


def test_the_released_file_is_the_hosts_model(nodes: ModuleType, released: Path, weights: tuple[State, State]) -> None:
    import comfy.model_base

    assert choices(nodes.LoadModel) == ["LumosX.pt", "none"] and released.is_dir()
    for entry, expected, other in (("ema", *weights), ("model", *reversed(weights))):
        (model,) = nodes.LoadModel.execute("LumosX.pt", entry).args
        assert type(model.model) is comfy.model_base.WAN21
        state = model.model.diffusion_model.state_dict()
        assert same(state, expected) and not same(state, other)
    (model,) = nodes.LoadModel.execute("LumosX.pt", "ema", "fp8_e4m3fn").args
    assert model.model.diffusion_model.blocks[0].self_attn.q.weight.dtype == torch.float8_e4m3fn


def test_folders_and_files_in_folders_are_offered(nodes: ModuleType, released: Path, weights: tuple[State, State]) -> None:
    import torch.distributed.checkpoint as dcp

    dcp.save({"ema": weights[0]}, checkpoint_id=released / "wan" / "step_1000", no_dist=True)
    (released / "wan" / "notes.txt").write_text("no weights")
    torch.save(weights[1], released / "wan" / "plain.pth")
    inside = str(Path("wan", "step_1000"))
    assert choices(nodes.LoadModel) == ["LumosX.pt", str(Path("wan", "plain.pth")), inside, "none"]
    (model,) = nodes.LoadModel.execute(inside, "ema").args
    assert same(model.model.diffusion_model.state_dict(), weights[0])


def test_a_converted_file_is_written_once_and_read_by_the_hosts_loader(
    nodes: ModuleType, released: Path, weights: tuple[State, State]
) -> None:
    import comfy.sd

    (name,) = nodes.ConvertModel.execute("LumosX.pt", "ema", "fp16", "made/lumosx").args
    written = released / "made" / "lumosx.safetensors"
    assert name == str(Path("made", "lumosx.safetensors")) and name in choices(nodes.LoadModel)
    stored = load_file(written)
    assert stored["blocks.0.ffn.0.weight"].dtype == torch.float16 and same(stored, weights[0])
    assert same(comfy.sd.load_diffusion_model(str(written)).model.diffusion_model.state_dict(), stored)
    before = written.stat().st_mtime_ns
    nodes.ConvertModel.execute("LumosX.pt", "model", "fp16", "made/lumosx.safetensors")
    assert written.stat().st_mtime_ns == before
    assert sorted(path.name for path in written.parent.iterdir()) == ["lumosx.safetensors"]


def test_cancelling_a_conversion_leaves_nothing(nodes: ModuleType, released: Path) -> None:
    import comfy.model_management as management

    management.interrupt_current_processing()
    with pytest.raises(management.InterruptProcessingException):
        nodes.ConvertModel.execute("LumosX.pt", "ema", "fp16", "lumosx")
    assert [path.name for path in released.rglob("*")] == ["LumosX.pt"]
    assert nodes.ConvertModel.execute("LumosX.pt", "ema", "fp16", "lumosx").args == ("lumosx.safetensors",)


def test_what_cannot_be_used_is_told(nodes: ModuleType, released: Path, weights: tuple[State, State]) -> None:
    torch.save({"token_embedding.weight": torch.zeros(4, 4)}, released / "text.pt")
    torch.save(weights[0] | {"patch_embedding.weight": torch.zeros(256, 36, 1, 2, 2)}, released / "image.pt")
    (released / "cut.pt").write_bytes((released / "LumosX.pt").read_bytes()[:5000])
    for choice, words in (
        ("none", "no file is chosen; put LumosX.pt"),
        ("gone.pt", "there is no diffusion model 'gone.pt'"),
        ("../LumosX.pt", "there is no diffusion model"),
        ("text.pt", "it is a UMT5 text encoder"),
        ("image.pt", "image-to-video has 36"),
        ("cut.pt", "cut.pt"),
    ):
        for run in (
            lambda choice=choice: nodes.LoadModel.execute(choice, "ema"),
            lambda choice=choice: nodes.ConvertModel.execute(choice, "ema", "fp16", "out"),
        ):
            with pytest.raises(InputError) as refused:
                run()
            assert words in str(refused.value)
    for name in ("", "..", "../out", "/out", "a/../b", "con", "a:b", "a\\..\\b"):
        with pytest.raises(InputError, match="name"):
            nodes.ConvertModel.execute("LumosX.pt", "ema", "fp16", name)
    assert not list(released.parent.rglob("*.safetensors"))


def test_weights_that_do_not_fit_are_told_before_the_host_fills_in_random_ones(
    nodes: ModuleType, released: Path, weights: tuple[State, State]
) -> None:
    """By both nodes, in one way; and nothing is written."""
    state, name = weights[0], "blocks.1.ffn.0.weight"
    spoilt = state[name].clone()
    spoilt[0, :2] = float("inf")
    for file, content, words in (
        ("short", {key: value for key, value in state.items() if key != name}, f"1 missing: {name}"),
        ("more", state | {"blocks.0.extra.weight": torch.zeros(2)}, "1 not of this model: blocks.0.extra.weight"),
        ("shape", state | {name: torch.zeros(64, 3)}, f"1 of the wrong shape: {name} (64, 3) instead of (64, 256)"),
        ("whole", {key: value.to(torch.int8) for key, value in state.items()}, "tensors that are no floating point numbers"),
        ("spoilt", state | {name: spoilt}, f"holds 2 NaN or infinite weights in {name}"),
        ("empty", {}, "holds no tensors"),
        ("lora", {"diffusion_model.blocks.0.self_attn.q.lora_A.weight": torch.zeros(2, 2)}, "it is a LoRA, not a whole model"),
        ("other", {"double_blocks.0.img_attn.qkv.weight": torch.zeros(2, 2)}, "it is another image or video model"),
    ):
        save_file(content, released / f"{file}.safetensors")
        for run in (
            lambda choice=f"{file}.safetensors": nodes.LoadModel.execute(choice, "ema"),
            lambda choice=f"{file}.safetensors": nodes.ConvertModel.execute(choice, "ema", "fp16", "out"),
        ):
            with pytest.raises(InputError) as refused:
                run()
            assert words in str(refused.value)
    torch.save({"model": state}, released / "last.pt")
    with pytest.raises(InputError, match="holds the entries model, not 'ema'; choose one of them as the entry"):
        nodes.LoadModel.execute("last.pt", "ema")
    assert not (released / "out.safetensors").exists()


def test_the_hosts_own_scaled_fp8_is_loaded(nodes: ModuleType, released: Path, weights: tuple[State, State]) -> None:
    state = dict(weights[0])
    name = "blocks.0.self_attn.q"
    state[f"{name}.weight"] = (weights[0][f"{name}.weight"] / 0.5).to(torch.float8_e4m3fn)
    state[f"{name}.scale_weight"] = torch.tensor(0.5)
    state["scaled_fp8"] = torch.empty(0, dtype=torch.float8_e4m3fn)
    save_file(state, released / "scaled.safetensors")
    (model,) = nodes.LoadModel.execute("scaled.safetensors", "ema").args
    assert model.model.diffusion_model.blocks[0].self_attn.q.weight.shape == (256, 256)
    del state["blocks.1.norm3.weight"]
    save_file(state, released / "scaled.safetensors")
    with pytest.raises(InputError, match="1 missing: blocks.1.norm3.weight"):
        nodes.LoadModel.execute("scaled.safetensors", "ema")


def test_what_lies_under_the_new_name_is_looked_at(nodes: ModuleType, released: Path) -> None:
    (released / "taken.safetensors").write_text("no weights")
    (released / "folder.safetensors").mkdir()
    save_file({"double_blocks.0.img_attn.qkv.weight": torch.zeros(2, 2)}, released / "other.safetensors")
    for name, words in (("taken", "is a text file"), ("folder", "is a folder"), ("other", "another image or video model")):
        with pytest.raises(InputError, match=f"something else under that name already: .*{words}.*Choose another name"):
            nodes.ConvertModel.execute("LumosX.pt", "ema", "fp16", name)
    assert (released / "taken.safetensors").read_text() == "no weights"
    for name in ("x" * 201, "\u5b89" * 70, "a/" + "x" * 300):
        with pytest.raises(InputError, match="expected a file name"):
            nodes.ConvertModel.execute("LumosX.pt", "ema", "fp16", name)
