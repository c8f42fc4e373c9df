"""The contact sheet of several seeds."""

import numpy as np
from PIL import Image

from lumosx_core.drawing.contact_sheet import reference_panel
from lumosx_core.drawing.seed_sheet import seed_sheet
from lumosx_core.references import ReferenceSet, Subject


def video(level: int, frames: int = 5) -> np.ndarray:
    """Frames whose red is the seed's level and whose green counts."""
    made = np.zeros((frames, 8, 16, 3), np.uint8)
    made[..., 0] = level
    made[..., 1] = 10 * np.arange(1, frames + 1)[:, None, None]
    return made


def test_references_stand_left_and_every_seed_has_a_row() -> None:
    references = ReferenceSet(subjects=(Subject(name="man", face=Image.new("RGB", (8, 8), "blue")),))
    panel = reference_panel(references)
    sheet = np.asarray(seed_sheet(references, [(7, video(200)), (8, video(90))]))
    np.testing.assert_array_equal(sheet[14 : 14 + panel.height, 14 : 14 + panel.width], np.asarray(panel))
    left = panel.width + 28  # frames are 192 x 96 here, 4 apart, below a line of 24
    for row, level in enumerate((200, 90)):
        top = 14 + row * 128 + 24
        for place, number in enumerate((0, 2, 4)):
            frame = sheet[top : top + 96, left + 196 * place : left + 196 * place + 192]
            assert (frame == (level, 10 * (number + 1), 0)).all(), (row, place)
    assert sheet.shape == (14 + 2 * 128 + 14, left + 3 * 196 - 4 + 14, 3)


def test_a_prompt_stands_above_and_a_picture_is_a_video_of_one_frame() -> None:
    plain = seed_sheet(ReferenceSet(), [(1, video(9, 1))])
    titled = seed_sheet(ReferenceSet(), [(1, video(9, 1))], prompt="a man")
    assert titled.height == plain.height + 21 + 14
    np.testing.assert_array_equal(np.asarray(titled)[35:], np.asarray(plain))
