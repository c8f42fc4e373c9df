"""Likeness by transformers: the real library on small random models, against its raw numbers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lumosx_core.detection.embedders import FolderEmbedder
from lumosx_core.errors import InputError
from tests.core import tiny_eyes

PICTURES = [Image.fromarray(np.random.default_rng(n).integers(0, 255, (40, 52, 3), dtype=np.uint8)) for n in range(18)]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def of_length_one(rows: torch.Tensor) -> np.ndarray:
    return (rows / rows.norm(dim=-1, keepdim=True)).numpy()


def test_dino_tells_by_its_class_token(tmp_path: Path) -> None:
    embedder = FolderEmbedder(tiny_eyes.write_dinov2(tmp_path / "dinov2"))
    found = embedder.embed(PICTURES)  # more than one batch
    loaded = embedder.loaded()
    with torch.inference_mode():
        raw = loaded.model(**loaded.processor(images=PICTURES, return_tensors="pt")).last_hidden_state[:, 0]
    assert found.shape == (18, 16) and np.allclose(found, of_length_one(raw), atol=1e-5)
    assert np.allclose((found**2).sum(1), 1, atol=1e-5) and embedder.embed([]).shape[0] == 0
    # The channels stand in the right order: the library's own numbers of exchanged ones are others.
    exchanged = embedder.embed([Image.fromarray(np.asarray(PICTURES[0])[..., ::-1].copy())])[0]
    assert not np.allclose(exchanged, found[0], atol=1e-3)
    with pytest.raises(InputError, match="which knows no words; give CLIP"):
        embedder.embed_words(["red hat"])


def test_clip_compares_pictures_and_words(tmp_path: Path) -> None:
    embedder = FolderEmbedder(tiny_eyes.write_clip(tmp_path / "clip"))
    pictures, words = embedder.embed(PICTURES[:3]), embedder.embed_words(["red hat", "a jacket " * 40])
    loaded = embedder.loaded()
    inputs = loaded.processor(
        images=PICTURES[:3], text=["red hat", "a jacket " * 40], return_tensors="pt", padding=True, truncation=True
    )
    with torch.inference_mode():
        raw = loaded.model(**inputs)
    assert np.allclose(pictures, of_length_one(raw.image_embeds), atol=1e-5)
    assert np.allclose(words, of_length_one(raw.text_embeds), atol=1e-5)
    scale = loaded.model.logit_scale.exp()
    assert np.allclose(pictures @ words.T * float(scale), raw.logits_per_image.numpy(), atol=1e-3)


def test_a_folder_of_another_kind_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "owlv2"}')
    with pytest.raises(InputError, match="of the kind 'owlv2', expected one of dinov2"):
        FolderEmbedder(tmp_path).embed(PICTURES[:1])
