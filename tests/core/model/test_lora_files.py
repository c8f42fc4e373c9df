"""LoRA files: every naming reads as the same LoRA, what is not understood or not whole is told."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lumosx_core.cli.main import main
from lumosx_core.errors import InputError
from lumosx_core.files.safetensors import read_safetensors, write_safetensors
from lumosx_core.model.lora import Factors, Lora, check_loras, read_lora

LAYERS = {
    "blocks.0.self_attn.q": "blocks.0.attn1.to_q",
    "blocks.1.cross_attn.o": "blocks.1.attn2.to_out.0",
    "blocks.1.ffn.0": "blocks.1.ffn.net.0.proj",
    "blocks.1.ffn.2": "blocks.1.ffn.net.2",
}
NAMINGS = {
    "comfyui": lambda ours, _: (f"diffusion_model.{ours}.lora_A.weight", f"diffusion_model.{ours}.lora_B.weight"),
    "bare": lambda ours, _: (f"{ours}.lora_A.weight", f"{ours}.lora_B.weight"),
    "peft": lambda ours, _: (f"base_model.model.{ours}.lora_A.weight", f"base_model.model.{ours}.lora_B.weight"),
    "transformer": lambda ours, _: (f"transformer.{ours}.lora_A.weight", f"transformer.{ours}.lora_B.weight"),
    "diffusers": lambda _, theirs: (f"transformer.{theirs}.lora_A.weight", f"transformer.{theirs}.lora_B.weight"),
    "kohya": lambda ours, _: tuple(f"lora_unet_{ours.replace('.', '_')}.lora_{d}.weight" for d in ("down", "up")),
}


def factors() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return {name: (torch.randn(2, 6, generator=generator), torch.randn(5, 2, generator=generator)) for name in LAYERS}


@pytest.mark.parametrize("naming", NAMINGS)
def test_every_naming_converts_to_comfyuis(naming: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tensors = {}
    for (ours, theirs), (down, up) in zip(LAYERS.items(), factors().values(), strict=True):
        a, b = NAMINGS[naming](ours, theirs)
        tensors |= {a: down, b: up}
    save_file(tensors, tmp_path / "in.safetensors")
    assert main(["convert", "lora", str(tmp_path / "in.safetensors"), str(tmp_path / "out.safetensors")]) == 0
    assert "tells no alpha of 4 of 4 layers: the rank is taken" in caplog.text
    written, _ = read_safetensors(tmp_path / "out.safetensors")
    expected = {}
    for name, (down, up) in factors().items():
        parts = {"lora_A.weight": down, "lora_B.weight": up, "alpha": torch.tensor(2.0)}
        expected |= {f"diffusion_model.{name}.{part}": value for part, value in parts.items()}
    assert set(written) == set(expected) and all(torch.equal(written[key], value) for key, value in expected.items())
    assert read_lora(tmp_path / "in.safetensors", alpha=7).factors["blocks.1.ffn.2"].alpha == 7


def test_what_is_not_understood_or_not_whole_is_named(tmp_path: Path) -> None:
    down, up = factors()["blocks.0.self_attn.q"]
    q = "diffusion_model.blocks.0.self_attn.q"
    right = {f"{q}.lora_A.weight": down, f"{q}.lora_B.weight": up, f"{q}.alpha": torch.tensor(4.0)}
    cases: list[tuple[dict[str, torch.Tensor], str]] = [
        (
            {**right, "diffusion_model.blocks.0.cross_attn.k_img.lora_A.weight": down.clone()},
            "1 of 4 keys fit no .*k_img",
        ),
        ({**right, f"{q}.dora_scale": torch.ones(5, 1)}, "1 of 4 keys fit no weight.*dora_scale"),
        ({f"{q}.lora_A.weight": down}, "only one of its two factors"),
        ({**right, f"{q}.lora_B.weight": torch.ones(5, 3)}, r"are \(2, 6\) and \(5, 3\), not \[rank, in\]"),
        ({**right, f"{q}.alpha": torch.ones(2)}, "the alpha of blocks.0.self_attn.q is"),
        ({**right, f"{q}.lora_B.weight": up * float("nan")}, "NaN or infinite"),
        ({"blocks.0.self_attn.q.weight": torch.ones(2, 2)}, "holds no LoRA of a Wan transformer"),
    ]
    for content, words in cases:
        save_file(content, tmp_path / "x.safetensors")
        with pytest.raises(InputError, match=words):
            read_lora(tmp_path / "x.safetensors")
    save_file({**right, "diffusion_model.blocks.0.modulation.diff": torch.ones(1, 6, 4)}, tmp_path / "x.safetensors")
    lora = read_lora(tmp_path / "x.safetensors")
    assert lora.changes() == ["blocks.0.self_attn.q.weight", "blocks.0.modulation"]
    shapes = {"blocks.0.self_attn.q.weight": (5, 7)}
    with pytest.raises(InputError, match=r"1 not there: blocks.0.modulation; 1 of another shape: .*\(5, 6\) instead of"):
        check_loras("base", shapes, [(lora, 1.0)])
    with pytest.raises(InputError, match="strength of .* is nan"):
        check_loras("base", {}, [(lora, float("nan"))])


def test_a_header_whose_length_begins_as_a_pickle_does(tmp_path: Path) -> None:
    lora = Lora(name="x", factors={"blocks.0.ffn.0": Factors(down=torch.ones(2, 6), up=torch.ones(5, 2), alpha=2.0)})
    path = tmp_path / "x.safetensors"
    for length in range(700):
        write_safetensors(path, lora.tensors(), {"padding": "x" * length})
        if path.read_bytes()[:2] == b"\x80\x03":
            break
    assert length < 699 and read_lora(path).factors["blocks.0.ffn.0"].up.shape == (5, 2)
