"""One thing by its words: the surest place, the part that is looked at, the point that is meant; and what is told."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumosx_core.detection.known_models import MODELS
from lumosx_core.detection.real_eyes import thing_eyes
from lumosx_core.detection.segment_anything import SamSegmenter
from lumosx_core.detection.things import ThingEyes, find_thing
from lumosx_core.errors import InputError
from lumosx_core.eyes import Box, Found

PICTURE = Image.new("RGB", (100, 60), "white")
SMALL, LARGE = (5.0, 5.0, 25.0, 25.0), (50.0, 10.0, 90.0, 50.0)


@dataclass
class Known:
    """Two hats that the finder knows, whatever part it is shown; what it was asked is written down."""

    hats: tuple[tuple[Box, float], ...] = ((SMALL, 0.4), (LARGE, 0.8))
    visible: bool = True
    asked: list = field(default_factory=list)
    freed: int = 0

    def find_phrase(self, picture: Image.Image, phrase: str, within: Box | None = None) -> list[Found]:
        self.asked.append((picture.mode, phrase, within))
        return [Found(box=box, score=score, phrase=phrase) for box, score in self.hats if phrase == "red hat"]

    def segment(self, picture: Image.Image, found: Found) -> np.ndarray:
        mask = np.zeros((picture.height, picture.width), bool)
        left, top, right, bottom = map(int, found.box)
        mask[top:bottom, left:right] = self.visible
        return mask

    def free(self) -> None:
        self.freed += 1

    @property
    def eyes(self) -> ThingEyes:
        return ThingEyes(phrases=self, masks=self)


def test_the_surest_one_unless_a_box_or_a_point_says_another() -> None:
    known = Known()
    found, mask = find_thing(PICTURE.convert("RGBA"), " red  hat ", known.eyes)
    assert found.box == LARGE and mask.sum() == 40 * 40 and mask[10, 50] and known.asked == [("RGB", "red hat", None)]
    assert find_thing(PICTURE, "red hat", known.eyes, within=(-10, 0, 40, 60))[0].box == SMALL
    assert known.asked[-1][2] == (0, 0, 40, 60)
    assert find_thing(PICTURE, "red hat", known.eyes, points=[(6, 6), (20, 20)])[0].box == SMALL
    known.eyes.free()
    assert known.freed == 2


@pytest.mark.parametrize(
    ("phrase", "more", "message"),
    [
        (" ", {}, "the phrase to look for is empty"),
        ("violin", {}, "nothing that looks like 'violin' was found in the image; use other words, .* or cut it out by a mask"),
        ("violin", {"within": (1, 2, 30, 40)}, r"nothing that looks like 'violin' was found in the box \(1, 2\) to \(30, 40\)"),
        ("red hat", {"within": (30, 0, 45, 60)}, r"nothing that looks like 'red hat' was found in the box"),
        ("red hat", {"within": (200, 0, 245, 60)}, "does not lie in the image of 100x60"),
        ("red hat", {"points": [(100, 3)]}, r"the point \(100, 3\) is outside the image of 100x60"),
        (
            "red hat",
            {"points": [(6, 6), (60, 20)]},
            r"found at \(5, 5\) to \(25, 25\); \(50, 10\) .*but not where the points are",
        ),
    ],
)
def test_what_is_not_there_is_told(phrase: str, more: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_thing(PICTURE, phrase, Known().eyes, **more)


def test_a_thing_without_visible_pixels_is_told() -> None:
    with pytest.raises(InputError, match=r"found at \(50, 10\) to \(90, 50\), but no pixel of it is visible"):
        find_thing(PICTURE, "red hat", Known(visible=False).eyes)


def test_one_thing_needs_no_eyes_for_people_and_faces(tmp_path: Path) -> None:
    sam = tmp_path / "sam_vit_b.pth"
    with pytest.raises(InputError, match="some models are not in .*: nothing finds things by words; put .*nothing cuts things"):
        thing_eyes(tmp_path)
    with pytest.raises(InputError, match="nothing finds things by words") as told:
        thing_eyes(tmp_path, sam=sam)
    assert "cuts things out" not in str(told.value) and "finds people" not in str(told.value)
    for name in ("owlv2", "sam2"):
        (tmp_path / name).mkdir()
        for file in MODELS[name].needed:
            (tmp_path / name / file).touch()
        eyes = thing_eyes(tmp_path, sam=sam)
        if name == "owlv2":
            assert isinstance(eyes.masks, SamSegmenter) and eyes.masks.path == sam
    assert eyes.phrases.folder == tmp_path / "owlv2" and eyes.masks.folder == tmp_path / "sam2"  # type: ignore[attr-defined]
