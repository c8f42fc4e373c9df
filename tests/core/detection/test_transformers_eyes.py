"""People, phrases and masks through transformers: the real library on small random models, against its raw numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lumosx_core.detection import segment_folders
from lumosx_core.detection.people import PeopleDetector
from lumosx_core.detection.phrases import PhraseDetector
from lumosx_core.detection.segment_folders import FolderSegmenter
from lumosx_core.errors import InputError
from lumosx_core.eyes import Found
from tests.core import tiny_eyes

WIDTH, HEIGHT = 90, 60
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8))
WITHIN = (10.0, 10.0, 50.0, 50.0)


@pytest.fixture(autouse=True)
def offline(monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def corners(centred: torch.Tensor, width: float, height: float) -> np.ndarray:
    """(x, y of the middle, width, height), in shares -> pixels of corners."""
    x, y, w, h = centred.double().numpy().T
    return np.stack([(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height], 1)


def clipped(boxes: np.ndarray) -> np.ndarray:
    return boxes.clip(0, [WIDTH, HEIGHT, WIDTH, HEIGHT])


@pytest.mark.parametrize("kind", ["rt_detr_v2", "rt_detr", "d_fine"])
def test_people_are_those_that_the_model_names_so(tmp_path: Path, kind: str) -> None:
    finder = PeopleDetector(tiny_eyes.write_people_detector(tmp_path / "detector", kind=kind))
    found = finder.find_people(PICTURE, threshold=0.01)
    loaded = finder.loaded()
    with torch.inference_mode():
        raw = loaded.model(**loaded.processor(images=PICTURE, return_tensors="pt"))
    scores = raw.logits[0].sigmoid()
    boxes = clipped(corners(raw.pred_boxes[0], WIDTH, HEIGHT))
    # Of all scores of queries and classes the library keeps as many as there are queries, the highest.
    best = scores.flatten().topk(len(scores)).indices.tolist()
    people = [i // 2 for i in best if i % 2 == 1 and scores[i // 2, 1] > 0.01]
    assert 0 < len(people) < len(best)
    people.sort(key=lambda query: boxes[query][0] + boxes[query][2])
    assert np.allclose([person.box for person in found], boxes[people], atol=1e-3)
    assert [person.score for person in found] == pytest.approx([float(scores[query, 1]) for query in people], abs=1e-5)
    finder.free()
    assert len(finder.find_people(PICTURE, threshold=0.01)) == len(people)


def test_a_model_without_people_is_told(tmp_path: Path) -> None:
    finder = PeopleDetector(tiny_eyes.write_people_detector(tmp_path / "pets", ("dog", "cat")))
    with pytest.raises(InputError, match=r"knows 2 classes, but no person \(dog, cat, ...\)"):
        finder.find_people(PICTURE)


def test_owlv2_speaks_of_the_padded_square(tmp_path: Path) -> None:
    finder = PhraseDetector(tiny_eyes.write_owlv2(tmp_path / "owl"))
    found = finder.find_phrase(PICTURE, "red hat", threshold=0.0)
    loaded = finder.loaded()
    with torch.inference_mode():
        raw = loaded.model(**loaded.processor(images=PICTURE, text=[["red hat"]], return_tensors="pt"))
    scores = raw.logits[0, :, 0].sigmoid()
    boxes = clipped(corners(raw.pred_boxes[0], WIDTH, WIDTH))  # the picture lies at the top of a square
    whole = [i for i in scores.argsort(descending=True).tolist() if (boxes[i][2:] > boxes[i][:2]).all()]
    assert found and len(found) <= len(whole)
    assert all(a.score >= b.score for a, b in zip(found, found[1:], strict=False))
    for thing in found:
        query = min(whole, key=lambda i: abs(float(scores[i]) - thing.score))
        assert thing.phrase == "red hat" and np.allclose(thing.box, boxes[query], atol=1e-2)


def test_grounding_dino_looks_at_a_part_and_speaks_of_the_whole(tmp_path: Path) -> None:
    finder = PhraseDetector(tiny_eyes.write_grounding_dino(tmp_path / "dino"))
    found = finder.find_phrase(PICTURE, "Red hat.", within=WITHIN, threshold=0.0)
    loaded = finder.loaded()
    shown = PICTURE.crop((8, 8, 52, 52))  # 5 % of the part's side more on every side
    with torch.inference_mode():
        raw = loaded.model(**loaded.processor(images=shown, text="red hat.", return_tensors="pt"))
    boxes = corners(raw.pred_boxes[0], 44, 44).clip(0, 44) + 8
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    scores = raw.logits[0].sigmoid().max(-1).values
    inside = ((middles >= 10) & (middles < 50) & (boxes[:, 2:] > boxes[:, :2])).all(1)
    order = [i for i in scores.argsort(descending=True).tolist() if inside[i]]
    assert order and len(found) == len(order)
    assert np.allclose(sorted(f.box for f in found), sorted(map(tuple, boxes[order])), atol=1e-2)
    assert [f.score for f in found] == pytest.approx([float(scores[i]) for i in order], abs=1e-4)


def test_sam2_gives_a_mask_as_large_as_the_picture(tmp_path: Path) -> None:
    finder = FolderSegmenter(tiny_eyes.write_sam2(tmp_path / "sam2"))
    mask = finder.segment(PICTURE, Found(box=WITHIN, score=1.0))
    assert mask.shape == (HEIGHT, WIDTH) and mask.dtype == bool and mask.any()
    loaded = finder.loaded()
    inputs = loaded.processor(images=PICTURE, input_boxes=[[list(WITHIN)]], return_tensors="pt")
    with torch.inference_mode():
        raw = loaded.model(**inputs, multimask_output=False).pred_masks[0, 0]
    large = torch.nn.functional.interpolate(raw[None].float(), (HEIGHT, WIDTH), mode="bilinear", align_corners=False)[0, 0]
    assert (mask == (large > 0).numpy()).mean() > 0.999
    known = np.ones((HEIGHT, WIDTH), bool)
    assert finder.segment(PICTURE, Found(box=WITHIN, score=1.0, mask=known)) is known
    with pytest.raises(InputError, match="knows no words"):
        finder.find_phrase(PICTURE, "red hat")


def test_sam3_finds_by_words_and_cuts_out_by_words_and_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_folders, "THRESHOLD", 0.0)  # random weights are sure of nothing
    finder = FolderSegmenter(tiny_eyes.write_sam3(tmp_path / "sam3"))
    things = finder.find_phrase(PICTURE, "red hat")
    loaded = finder.loaded()
    with torch.inference_mode():
        raw = loaded.model(**loaded.processor(images=PICTURE, text="red hat", return_tensors="pt"))
    boxes = raw.pred_boxes[0] * torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT])
    large = torch.nn.functional.interpolate(raw.pred_masks.float(), (HEIGHT, WIDTH), mode="bilinear", align_corners=False)[0]
    assert len(things) == 8 and [t.score for t in things] == sorted((t.score for t in things), reverse=True)
    for thing in things:
        number = int((boxes - torch.tensor(thing.box)).abs().sum(1).argmin())
        assert np.allclose(thing.box, boxes[number], atol=1e-2) and thing.phrase == "red hat"
        assert thing.mask is not None and thing.mask.shape == (HEIGHT, WIDTH)
        assert (thing.mask == (large[number] > 0).numpy()).mean() > 0.99
    left, top, right, bottom = WITHIN
    inside = [t for t in things if left <= (t.box[0] + t.box[2]) / 2 < right and top <= (t.box[1] + t.box[3]) / 2 < bottom]
    assert [t.box for t in finder.find_phrase(PICTURE, "red hat", WITHIN)] == [t.box for t in inside]
    mask = finder.segment(PICTURE, Found(box=WITHIN, score=1.0, phrase="red hat"))
    assert mask.shape == (HEIGHT, WIDTH) and mask.dtype == bool and mask.any()
    known = np.ones((HEIGHT, WIDTH), bool)
    assert finder.segment(PICTURE, Found(box=WITHIN, score=1.0, mask=known)) is known


def test_faults_of_folders_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no config.json in .*nothing"):
        PeopleDetector(tmp_path / "nothing").find_people(PICTURE)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(InputError, match="of the kind 'bert', expected one of grounding-dino"):
        PhraseDetector(tmp_path).find_phrase(PICTURE, "hat")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "owlv2"}))
    with pytest.raises(InputError, match="cannot be loaded"):
        PhraseDetector(tmp_path).find_phrase(PICTURE, "hat")
    with pytest.raises(InputError, match="the phrase to look for is empty"):
        PhraseDetector(tmp_path).find_phrase(PICTURE, " ")
