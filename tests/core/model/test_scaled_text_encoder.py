"""ComfyUI's fp8-scaled UMT5: what its numbers are after loading and converting, and the tokenizer inside the file."""

from pathlib import Path

import pytest
import torch

from lumosx_core.cli.main import main
from lumosx_core.files.weights import read_state_dict, write_safetensors
from lumosx_core.model.text_encoder import load_text_encoder
from lumosx_core.sampling.pipeline import NANO_FOLDER

SPIECE = NANO_FOLDER / "spiece.model"
QUERY = "encoder.block.0.layer.0.SelfAttention.q"
OUTPUT = "encoder.block.1.layer.1.DenseReluDense.wo"


@pytest.fixture
def scaled_file(tmp_path: Path) -> Path:
    """Nano's encoder in which two matrices are fp8: 448 (the largest fp8 number) and -1.75 in rows, one scale for the whole
    matrix and one for every row; the others are fp16, as in ComfyUI's file."""
    state = {key: value.half() for key, value in read_state_dict(NANO_FOLDER / "text_encoder.safetensors")[0].items()}
    for name in (QUERY, OUTPUT):
        numbers = torch.full(state[f"{name}.weight"].shape, -1.75)
        numbers[0] = 448.0
        state[f"{name}.weight"] = numbers.to(torch.float8_e4m3fn)
        state[f"{name}.scale_input"] = torch.tensor(7.0)  # of the inputs: no part of the weights
    state[f"{QUERY}.scale_weight"] = torch.tensor([0.001953125])
    rows = state[f"{OUTPUT}.weight"].shape[0]
    state[f"{OUTPUT}.scale_weight"] = torch.tensor([[0.125], [0.25], *[[0.5]] * (rows - 2)])
    state["scaled_fp8"] = torch.empty(0, dtype=torch.float8_e4m3fn)
    state["spiece_model"] = torch.frombuffer(bytearray(SPIECE.read_bytes()), dtype=torch.uint8)
    return write_safetensors(tmp_path / "umt5_xxl_fp8_e4m3fn_scaled.safetensors", state, {})


def check_numbers(state: dict[str, torch.Tensor], dtype: torch.dtype) -> None:
    """Every number is the stored one times its scale; those without one stay, rounded to the type."""
    query, output = state[f"{QUERY}.weight"].float(), state[f"{OUTPUT}.weight"].float()
    assert (query[0] == 0.875).all() and (query[1:] == -0.00341796875).all()
    assert (output[0] == 56.0).all() and (output[1] == -0.4375).all() and (output[2:] == -0.875).all()
    nano = read_state_dict(NANO_FOLDER / "text_encoder.safetensors")[0]
    others = nano.keys() - {f"{QUERY}.weight", f"{OUTPUT}.weight"}
    assert state.keys() - {"encoder.embed_tokens.weight"} == nano.keys()
    assert all(torch.equal(state[key], nano[key].half().to(dtype)) for key in others)


def test_the_numbers_are_those_of_fp8_times_the_scale(scaled_file: Path, tmp_path: Path) -> None:
    encoder = load_text_encoder(scaled_file, SPIECE)
    check_numbers(encoder.model.state_dict(), torch.float32)
    out = tmp_path / "model"
    types = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}  # the numbers above are exact in all of them
    for storage, dtype in types.items():
        assert main(["convert", "text-encoder", str(scaled_file), str(out), "--storage", storage]) == 0
        check_numbers(read_state_dict(out / "text_encoder.safetensors")[0], dtype)
        if storage == "fp32":
            converted = load_text_encoder(out / "text_encoder.safetensors", out / "spiece.model")
            states = [which.encode(["a man in a red hat"], 16) for which in (encoder, converted)]
            assert torch.equal(*states) and states[0].abs().sum() > 0


def test_the_tokenizer_inside_the_file_is_the_one_of_the_folder(scaled_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    assert main(["convert", "text-encoder", str(scaled_file), str(out)]) == 0
    assert (out / "spiece.model").read_bytes() == SPIECE.read_bytes()
    ids = load_text_encoder(out / "text_encoder.safetensors", out / "spiece.model").tokenizer.encode("a man in a red hat")
    assert ids == load_text_encoder(scaled_file, SPIECE).tokenizer.encode("a man in a red hat") and len(ids) > 4
