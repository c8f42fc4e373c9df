"""insightface and Segment Anything 1 as finders: the real libraries on small models."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lumosx_core.detection import segment_anything
from lumosx_core.detection.faces import InsightFaces
from lumosx_core.errors import InputError
from lumosx_core.eyes import FaceFinder, Found, Segmenter
from tests.nodes.tiny_detectors import CYAN, MAGENTA, TINY_WIDTH, build_tiny_sam, write_face_detector


def squares() -> Image.Image:
    """Magenta squares of 32 pixels are faces, a cyan one of 16 is the corner of one of 64."""
    pixels = np.full((640, 640, 3), 120, np.uint8)
    pixels[96:128, 320:352] = MAGENTA
    pixels[320:336, 128:144] = CYAN
    return Image.fromarray(pixels)


def test_insightface_finds_faces_from_left_to_right(tmp_path: Path) -> None:
    pytest.importorskip("insightface", reason="NO INSIGHTFACE: pip install -e '.[face]' to test face detection")
    write_face_detector(tmp_path / "models" / "own_pack")
    finder: FaceFinder = InsightFaces(tmp_path)  # the pack that is there
    left, right = finder.find_faces(squares())
    assert np.allclose(left.box, (128, 320, 192, 384), atol=0.01) and np.allclose(right.box, (320, 96, 352, 128), atol=0.01)
    assert right.score > 0.99 and len(right.points) == 5 and right.embedding is None  # the pack has no recogniser
    with pytest.raises(InputError, match="there is no face detector in"):
        InsightFaces(tmp_path / "none").find_faces(squares())


def test_segment_anything_takes_the_box_of_what_was_found(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("segment_anything", reason="NO SEGMENT ANYTHING: pip install -e '.[face]' to test cutting out")
    torch.manual_seed(0)
    torch.save(build_tiny_sam().state_dict(), tmp_path / "tiny.pth")
    monkeypatch.setitem(segment_anything.MODEL_TYPES, TINY_WIDTH, "vit_tiny")
    monkeypatch.setitem(sys.modules["segment_anything"].sam_model_registry, "vit_tiny", build_tiny_sam)
    finder = segment_anything.SamSegmenter(tmp_path / "tiny.pth")
    asked: Segmenter = finder
    picture, box = squares().crop((100, 60, 400, 400)), (20.0, 30.0, 260.0, 300.0)
    mask = asked.segment(picture, Found(box=box, score=1))
    wanted = segment_anything.segment(segment_anything.load_sam(tmp_path / "tiny.pth"), picture, [box], [])
    assert mask.shape == (340, 300) and (mask == wanted).all()
    finder.free()
    known = np.ones((340, 300), bool)
    assert finder.segment(picture, Found(box=box, score=1, mask=known)) is known
