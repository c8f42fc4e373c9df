"""Motion by the real RAFT with random weights, and by flows with known answers; CLIP-T, CLIP-I and DINO-I on tiny models."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lumosx_core.detection.embedders import FolderEmbedder
from lumosx_core.detection.things import ThingEyes
from lumosx_core.errors import InputError
from lumosx_core.evaluation.metrics import motion
from lumosx_core.evaluation.metrics.clip import Clip, ClipSight
from lumosx_core.evaluation.metrics.motion import Motion, fastest, raft_flow
from lumosx_core.evaluation.phrase_nouns import noun_of
from lumosx_core.eyes import Box, Found
from lumosx_core.references import Attribute, ReferenceSet, Sample, SceneReference, Subject
from lumosx_core.sample_folder import write_sample
from tests.core import tiny_eyes

HEIGHT, WIDTH = 64, 96


def moving(speed: float) -> np.ndarray:
    """A flow [64, 96, 2] to the right of a tenth of the pixels, pixels."""
    flow = np.zeros((HEIGHT, WIDTH, 2), np.float32)
    flow[:, : WIDTH // 10 + 1, 0] = speed
    return flow


def test_the_fastest_pixels_decide() -> None:
    flow = np.zeros((10, 10, 2), np.float32)
    flow[0, :5] = (3.0, -4.0)
    assert fastest(flow) == 5.0
    flow[0, 0] = (30.0, -40.0)
    assert fastest(flow) == pytest.approx((50 + 4 * 5) / 5)


@pytest.mark.parametrize(("moves", "dynamic"), [(0, 0), (3, 0), (4, 1), (16, 1)])
def test_a_quarter_of_the_pairs_makes_a_dynamic_video(moves: int, dynamic: int, tmp_path: Path) -> None:
    video = np.arange(18, dtype=np.uint8)[:, None, None, None] * np.ones((1, HEIGHT, WIDTH, 3), np.uint8)
    seen = []

    def flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        seen.append((int(first[0, 0, 0]), int(second[0, 0, 0])))
        return moving(1.6 if len(seen) <= moves else 1.4)  # 1.5 pixels are the bar where the shorter side is 64

    metric = Motion(flow)
    values = metric.score(video, tmp_path)
    assert seen == [(n, n + 2) for n in range(16)] == [(f, f + 2) for f in values["pairs"]]
    assert metric.figures(values) == {"dynamic": (dynamic, 1), "moving pairs": (moves, 16)}


def test_stills_gaps_and_long_videos(tmp_path: Path) -> None:
    metric = Motion(lambda *_: moving(0.0))
    assert metric.figures(metric.score(np.zeros((1, HEIGHT, WIDTH, 3), np.uint8), tmp_path)) == {
        "dynamic": (0, 0),
        "moving pairs": (0, 0),
    }
    assert metric.figures(metric.missing(tmp_path)) == {"dynamic": (0, 1), "moving pairs": (0, 1)}
    pairs = metric.score(np.zeros((81, HEIGHT, WIDTH, 3), np.uint8), tmp_path)["pairs"]
    assert len(pairs) == 16 and (pairs[0], pairs[-1]) == (0, 78)
    with pytest.raises(InputError, match="needs RAFT; name the folder of models with --eyes"):
        Motion().score(np.zeros((3, HEIGHT, WIDTH, 3), np.uint8), tmp_path)


def test_raft_speaks_of_pixels_of_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models.optical_flow import raft_large
    from torchvision.transforms.functional import resize

    torch.manual_seed(0)
    network = raft_large(weights=None).eval()
    path = tmp_path / "raft_large_C_T_V1-22a6c225.pth"
    torch.save(network.state_dict(), path)
    monkeypatch.setattr(motion, "UPDATES", 1)
    pictures = np.random.default_rng(0).integers(0, 255, (2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    found = raft_flow(path)(*pictures)
    batch = resize(torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255, [128, 192], antialias=True)
    with torch.inference_mode():
        raw = network(2 * batch[:1] - 1, 2 * batch[1:] - 1, num_flow_updates=1)[-1][0].permute(1, 2, 0).numpy()
    assert found.shape == (128, 192, 2) and np.allclose(
        found, raw / 2, atol=1e-3
    )  # twice as large a picture moves twice as far
    torch.save({"other": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="does not fit RAFT .*; get the official file"):
        raft_flow(path)


class Halves:
    """Finds hats left, jackets right, each twice: in the upper and the lower half."""

    def find_phrase(self, picture: Image.Image, phrase: str, within: Box | None = None) -> list[Found]:
        assert picture.size == (32, 32) and within is None
        left = {"hat": 0, "jacket": 16, "ball": None}[phrase]
        return [] if left is None else [Found(box=(left, top, left + 16, top + 16), score=1.0) for top in (0, 16)]

    def segment(self, picture: Image.Image, found: Found) -> np.ndarray:
        mask = np.zeros((picture.height, picture.width), bool)
        left, top, right, bottom = map(int, found.box)
        mask[top:bottom, left:right] = True
        return mask


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    folder = tmp_path_factory.mktemp("models")
    halves = Halves()
    return Clip(
        ClipSight(
            eyes=ThingEyes(phrases=halves, masks=halves),
            clip=FolderEmbedder(tiny_eyes.write_clip(folder / "clip")),
            dino=FolderEmbedder(tiny_eyes.write_dinov2(folder / "dinov2")),
            noun_of=noun_of,
        )
    )


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 240, (16, 16, 3), dtype=np.uint8)


def write_case(folder: Path, hats: Sequence[int]) -> Path:
    subjects = [
        Subject(name="man", attributes=(Attribute(phrase="a red hat", image=Image.fromarray(noise(seed))),)) for seed in hats
    ]
    ball = SceneReference(phrase="ball", image=Image.fromarray(noise(9)))
    write_sample(folder, Sample(prompt="a hat", references=ReferenceSet(subjects=tuple(subjects), objects=(ball,))))
    return folder


def test_things_are_matched_with_their_references(clip: Clip, tmp_path: Path) -> None:
    frame = np.full((32, 32, 3), 120, np.uint8)
    frame[16:, :16], frame[:16, :16] = noise(1), noise(2)  # below the first one's hat, above the second one's
    values = clip.score(np.stack([frame] * 3), write_case(tmp_path / "case", (1, 2)))
    assert [(t["phrase"], t["kind"]) for t in values["things"]] == [
        ("a red hat", "attribute"),
        ("a red hat", "attribute"),
        ("ball", "object"),
    ]
    for thing in values["things"][:2]:
        assert thing["dino"] == pytest.approx([1, 1, 1], abs=1e-4) == thing["clip"]
    assert values["things"][2]["dino"] == [None] * 3
    figures = clip.figures(values)
    assert figures["DINO-I"] == (pytest.approx(6, abs=1e-3), 9) and figures["CLIP-I of found"] == (
        pytest.approx(6, abs=1e-3),
        6,
    )
    assert figures["found"] == (6, 9) and figures["CLIP-T"][1] == 3
    sight = clip.sight
    assert sight is not None
    words, picture = sight.clip.embed_words(["a hat"])[0], sight.clip.embed([Image.fromarray(frame)])[0]
    assert values["prompt"] == pytest.approx([float(words @ picture)] * 3, abs=1e-4)
    assert "ball: found in 0 of 3 frames" in clip.note(values)


def test_a_gap_is_nothing_found(clip: Clip, tmp_path: Path) -> None:
    figures = clip.figures(clip.missing(write_case(tmp_path / "case", (1,))))
    assert figures == {
        "CLIP-T": (0, 8), "CLIP-I": (0, 16), "DINO-I": (0, 16), "found": (0, 16), "CLIP-I of found": (0, 0),
        "DINO-I of found": (0, 0),
    }  # fmt: skip
    with pytest.raises(InputError, match="name their folder with --eyes"):
        Clip().score(np.zeros((1, 8, 8, 3), np.uint8), tmp_path / "case")
