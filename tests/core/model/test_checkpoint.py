"""Checkpoints: strict loading, every kind of file in circulation, storage types, converters, and damaged input."""

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lumosx_core.checks.golden import GOLDEN_FOLDER, deviation
from lumosx_core.errors import InputError
from lumosx_core.files.weights import read_state_dict, write_safetensors
from lumosx_core.model.checkpoint import load_transformer, save_transformer
from lumosx_core.model.config import PRESETS, TransformerConfig
from lumosx_core.model.convert import convert_text_encoder, convert_transformer, convert_vae
from lumosx_core.model.text_encoder import load_text_encoder
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.model.vae import decode_video, encode_video, load_vae


@pytest.fixture(scope="module")
def model() -> LumosXTransformer:
    torch.manual_seed(1)
    model = LumosXTransformer(PRESETS["debug"])
    model.initialize_weights()
    return model.train(False)


@pytest.fixture
def stored(model: LumosXTransformer, tmp_path: Path) -> Path:
    return save_transformer(tmp_path / "model.safetensors", model.state_dict(), model.config)


def same(a: LumosXTransformer, b: LumosXTransformer) -> bool:
    pairs = zip(a.state_dict().items(), b.state_dict().items(), strict=True)
    return all(name == other and torch.equal(x, y) for (name, x), (other, y) in pairs)


def test_our_file_carries_its_sizes(model: LumosXTransformer, stored: Path) -> None:
    loaded = load_transformer(stored)
    assert loaded.config == model.config and same(loaded, model) and not loaded.training


@pytest.mark.parametrize(
    ("storage", "dtype", "relative", "smallest"),  # half a unit in the last place, of normal and of the smallest numbers
    [
        ("bf16", torch.bfloat16, 2**-8, 0.0),
        ("fp16", torch.float16, 2**-11, 2**-25),
        ("fp8_e4m3fn", torch.float8_e4m3fn, 2**-4, 2**-10),
    ],
)
def test_storage_types(
    model: LumosXTransformer, tmp_path: Path, storage: str, dtype: torch.dtype, relative: float, smallest: float
) -> None:
    path = save_transformer(tmp_path / "m.safetensors", model.state_dict(), model.config, storage=storage)
    kept = load_file(path)
    assert kept["blocks.0.ffn.0.weight"].dtype == dtype
    assert kept["blocks.0.ffn.0.bias"].dtype == (torch.bfloat16 if storage.startswith("fp8") else dtype)
    original, loaded = model.state_dict(), load_transformer(path).state_dict()
    for name, value in original.items():
        assert loaded[name].dtype == torch.float32
        assert ((loaded[name] - value).abs() <= relative * value.abs() + smallest).all(), name


def test_fp8_clamps_instead_of_overflowing(tmp_path: Path, model: LumosXTransformer) -> None:
    state = {k: v.clone() for k, v in model.state_dict().items()}
    state["blocks.0.ffn.0.weight"][0, 0] = 1e6
    path = save_transformer(tmp_path / "m.safetensors", state, model.config, storage="fp8_e4m3fn")
    assert float(load_transformer(path).blocks[0].ffn[0].weight[0, 0].detach()) == 448.0


@pytest.mark.parametrize("entry", ["ema", "model"])
def test_released_pickle_with_two_entries(model: LumosXTransformer, tmp_path: Path, entry: str) -> None:
    other = {k: v + 1 for k, v in model.state_dict().items()}
    tree = {"ema": model.state_dict(), "model": other, "step": 7}
    torch.save(tree, tmp_path / "released.pt")
    state, _ = read_state_dict(tmp_path / "released.pt", entry)
    expected = tree[entry]
    assert state.keys() == expected.keys() and all(torch.equal(state[k], expected[k]) for k in state)


@pytest.mark.parametrize("prefix", ["module.", "model.diffusion_model.", "model.module."])
def test_prefixes_are_removed(model: LumosXTransformer, tmp_path: Path, prefix: str) -> None:
    save_file({prefix + k: v for k, v in model.state_dict().items()}, tmp_path / "m.safetensors")
    assert same(load_transformer(tmp_path / "m.safetensors", config=model.config), model)


def test_distributed_checkpoint_folder(model: LumosXTransformer, tmp_path: Path) -> None:
    import torch.distributed.checkpoint as dcp

    tree = {"ema": model.state_dict(), "model": {k: v * 2 for k, v in model.state_dict().items()}}
    dcp.save(tree, checkpoint_id=tmp_path / "dcp")
    for entry in ("ema", "model"):
        state, _ = read_state_dict(tmp_path / "dcp", entry)
        assert all(torch.equal(state[k], v) for k, v in tree[entry].items())
    with pytest.raises(InputError, match="holds the entries ema, model, not 'best'"):
        read_state_dict(tmp_path / "dcp", "best")


def test_convert_reads_the_sizes_off_the_shapes(tmp_path: Path) -> None:
    config = TransformerConfig(dim=256, num_heads=2, num_layers=3, ffn_dim=320, freq_dim=64, text_dim=48)
    torch.manual_seed(2)
    model = LumosXTransformer(config)
    model.initialize_weights()
    torch.save({"ema": model.state_dict()}, tmp_path / "released.pt")
    assert convert_transformer(tmp_path / "released.pt", tmp_path / "t.safetensors", storage="fp32") == config
    assert same(load_transformer(tmp_path / "t.safetensors"), model)


def word_tokenizer(path: Path, size: int) -> Path:
    """A tokenizer.json that knows `size` words."""
    import tokenizers

    words = {f"w{number}": number for number in range(size)}
    tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="w0")).save(str(path))
    return path


def test_convert_text_encoder_and_vae_keep_the_numbers(tmp_path: Path) -> None:
    texts = load_file(GOLDEN_FOLDER / "umt5_encoder.safetensors")
    original = {k.removeprefix("weights."): v for k, v in texts.items() if k.startswith("weights.")}
    torch.save(original, tmp_path / "umt5.pth")
    convert_text_encoder(tmp_path / "umt5.pth", tmp_path / "text.safetensors", storage="fp32")
    encoder = load_text_encoder(tmp_path / "text.safetensors", word_tokenizer(tmp_path / "tokenizer.json", 256))
    with torch.no_grad():
        states = encoder.model(texts["input_ids"], texts["attention_mask"])
    known = texts["attention_mask"].bool()
    assert deviation(states[known], texts["hidden_states"][known]) < 2e-5

    videos = load_file(GOLDEN_FOLDER / "wan_vae.safetensors")
    weights = {k.removeprefix("weights."): v for k, v in videos.items() if k.startswith("weights.")}
    torch.save({"model_state": weights}, tmp_path / "vae.pth")
    convert_vae(tmp_path / "vae.pth", tmp_path / "vae.safetensors")
    vae = load_vae(tmp_path / "vae.safetensors")
    assert deviation(encode_video(vae, videos["video"]), videos["video_latent"]) < 2e-5
    assert deviation(decode_video(vae, videos["video_latent"]), videos["video_decoded"].clamp(-1, 1)) < 2e-5


def change_keys(path: Path, change) -> Path:
    """The file again with its tensors changed, the metadata kept."""
    tensors, metadata = read_state_dict(path)
    change(tensors)
    return write_safetensors(path.with_name("changed.safetensors"), tensors, metadata)


def test_keys_must_fit_exactly(stored: Path) -> None:
    def missing(tensors):
        del tensors["blocks.1.ffn.2.bias"], tensors["head.modulation"]

    def extra(tensors):
        tensors["extra.proj.0.bias"] = torch.zeros(1)

    def wrong(tensors):
        tensors["patch_embedding.bias"] = torch.zeros(5)

    for change, words in (
        (missing, "2 missing: "),
        (extra, "1 not of this model: extra.proj.0.bias"),
        (wrong, "1 of the wrong shape: patch_embedding.bias (5,) instead of (32,)"),
    ):
        with pytest.raises(InputError) as raised:
            load_transformer(change_keys(stored, change))
        assert words in str(raised.value)


class RunsCode:
    """A pickle that would create a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    for name, save in (("zip.pt", torch.save), ("plain.pt", lambda tree, path: path.write_bytes(pickle.dumps(tree)))):
        save({"ema": {"x": torch.zeros(1)}, "trap": RunsCode(tmp_path / "sprung")}, tmp_path / name)
        with pytest.raises(InputError, match="can run any code; get the weights as .safetensors|cannot be read"):
            read_state_dict(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def test_damaged_and_absent_files(stored: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(stored.read_bytes()[:-100])
    for path, words in (
        (cut, "is not a whole safetensors file"),
        (tmp_path / "none.safetensors", "there is no file"),
        (tmp_path / "none.pt", "there is no file"),
        (tmp_path, "without a .metadata file"),
    ):
        with pytest.raises(InputError, match=words):
            load_transformer(path)
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(InputError):
        read_state_dict(tmp_path / "text.pt")


def test_another_model_is_named(tmp_path: Path) -> None:
    save_file({"conv_in.weight": torch.zeros(3)}, tmp_path / "unet.safetensors")
    with pytest.raises(InputError, match="no Wan2.1 text-to-video transformer"):
        load_transformer(tmp_path / "unet.safetensors")
    with pytest.raises(InputError, match="is no Wan2.1 VAE"):
        load_vae(tmp_path / "unet.safetensors")


def test_nothing_is_left_half_written(tmp_path: Path, model: LumosXTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(file, key, value):  # noqa: ARG001 - the signature of what writes one tensor
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lumosx_core.files.safetensors._write_numbers", full_disk)
    with pytest.raises(InputError, match="No space left on device"):
        save_transformer(tmp_path / "m.safetensors", model.state_dict(), model.config)
    assert list(tmp_path.iterdir()) == []


def test_metadata_is_readable_json(stored: Path) -> None:
    _, metadata = read_state_dict(stored)
    assert metadata["format"] == "lumosx-transformer" and json.loads(metadata["config"])["dim"] == 32
