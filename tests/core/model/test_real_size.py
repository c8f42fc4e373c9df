"""`real_size.py` at a small size: every kind of file that people hold is converted to the numbers it stands for."""

from pathlib import Path

import pytest
from real_size import FILENAMES, Noise, Sizes, Source, sources, try_source

from lumosx_core.cli.main import main as lumosx
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.text_encoder import TextConfig

SMALL = Sizes(
    TransformerConfig(dim=256, num_heads=2, num_layers=2, ffn_dim=64, freq_dim=16, text_dim=24, text_len=16),
    96,
    TextConfig(vocab_size=2600, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, relative_attention_num_buckets=32),
)


def convert_here(source: Source, path: Path, folder: Path) -> tuple[int, float]:
    """Without a process of its own, whose memory could be measured."""
    assert lumosx(["convert", source.kind, str(path), str(folder), "--storage", source.storage]) == 0
    return 0, 0.0


@pytest.mark.parametrize("name", [name for name in FILENAMES if name != "vae"])  # a VAE's width is not read from its file
def test_a_file_of_any_kind_is_converted_alike_twice(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = Noise(tmp_path, 2600 * 32)
    (source,) = (source for found, source in sources(SMALL, noise) if found == name)
    assert try_source(name, source, tmp_path / "work", convert_here) == []
    assert f"{name}: " in capsys.readouterr().out
