"""Cut-outs: faults of masks are mended, edges are as wide as asked, alpha is kept."""

import numpy as np
import pytest
from PIL import Image

from lumosx_core.detection.cut_outs import CutOutOptions, before_wall, clean_mask, cut_out, on_white, soften
from lumosx_core.errors import InputError

HARD = CutOutOptions(edge=0, margin=0)


def square(size=40, top=10, left=10, side=20):
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_specks_go_and_small_holes_close() -> None:
    whole = square()
    faulty = whole.copy()
    faulty[2, 2] = True  # 1 of 400 pixels
    faulty[15:18, 15:18] = False  # 9 of 400
    assert (clean_mask(faulty) == whole).all()


def test_large_holes_and_open_ones_stay() -> None:
    handle = square()
    handle[14:24, 14:24] = False
    assert (clean_mask(handle) == handle).all()
    notch = square(top=0)  # touches the picture's border
    notch[0:2, 15:17] = False
    assert (clean_mask(notch) == notch).all()


def test_both_pieces_or_the_largest() -> None:
    left, right = square(side=8, left=2), square(side=9, left=25)
    assert (clean_mask(left | right) == (left | right)).all()
    assert (clean_mask(left | right, CutOutOptions(pieces="largest")) == right).all()


def test_pieces_that_touch_at_a_corner_are_one() -> None:
    stairs = square(side=5, top=5, left=5) | square(side=5, top=10, left=10)
    assert (clean_mask(stairs, CutOutOptions(pieces="largest")) == stairs).all()


@pytest.mark.parametrize("edge", [1.0, 1.5, 2.0])
def test_an_edge_is_as_wide_as_asked_and_the_thing_keeps_its_size(edge: float) -> None:
    soft = soften(square(), edge)
    row = soft[20]
    assert row[20] == 1 and row[5] == 0
    assert row.sum() == pytest.approx(20, abs=1e-4)  # neither grown nor shrunk
    between = ((row > 0) & (row < 1)).sum() / 2
    assert between == (0 if edge == 1 else 2)  # of a 2 pixels wide edge the two middle ones are at 1/4 and 3/4
    assert (soft == soft.T).all() and (soft == soft[::-1]).all()


def test_the_border_of_the_picture_is_no_edge() -> None:
    assert (soften(np.ones((6, 6), bool), 2.0) == 1).all()
    assert (soften(square(top=0), 2.0)[0, 14:26] == 1).all()


def test_a_cut_out_has_the_colours_the_margin_and_white_behind() -> None:
    picture = Image.new("RGB", (40, 40), (200, 30, 30))
    cut = cut_out(picture, square(), CutOutOptions(edge=0, margin=0.1))
    assert cut.mode == "RGBA" and cut.size == (24, 24)
    pixels = np.asarray(cut)
    assert (pixels[2:22, 2:22] == (200, 30, 30, 255)).all()
    assert (pixels[:2] == (255, 255, 255, 0)).all()
    white = np.asarray(on_white(cut))
    assert (white[0] == 255).all() and (white[10, 10] == (200, 30, 30)).all()


def test_a_frame_gives_a_small_thing_its_place() -> None:
    picture = Image.new("RGB", (40, 40), (200, 30, 30))
    cut = np.asarray(cut_out(picture, square(), HARD, frame=(-6.0, 5.0, 44.0, 25.0)))
    assert cut.shape == (25, 50, 4)  # down to the thing's lower edge, and left beyond the picture
    assert (cut[5:25, 16:36] == (200, 30, 30, 255)).all() and (cut[..., 3] > 0).sum() == 400
    roomy = cut_out(picture, square(), CutOutOptions(edge=0, margin=0.1), frame=(15.0, 15.0, 16.0, 16.0))
    assert roomy.size == (24, 24)  # the margin is kept


def test_a_small_thing_has_a_narrow_edge() -> None:
    picture = Image.new("RGB", (400, 400), (200, 30, 30))
    large = np.zeros((400, 400), bool)
    large[100:300, 100:300] = True
    alpha = np.asarray(cut_out(picture, large, CutOutOptions(margin=0)))[..., 3]
    assert 0 < alpha[100, 0] < 255
    small = np.asarray(cut_out(Image.new("RGB", (40, 40)), square(), CutOutOptions(margin=0)))[..., 3]
    assert small.shape == (20, 20) and (small == 255).all()
    asked = np.asarray(cut_out(Image.new("RGB", (40, 40)), square(), CutOutOptions(margin=0, edge_share=1)))[..., 3]
    assert 0 < asked[10, 0] < 255


def test_before_a_wall_only_the_mask_is_seen() -> None:
    picture = Image.new("RGB", (40, 40), (200, 30, 30))
    shown = np.asarray(before_wall(picture, square(), (-10.0, 0.0, 20.0, 30.0), (9, 8, 7)))
    assert shown.shape == (30, 30, 3)  # the frame alone: what sticks out of it is cut off
    assert (shown[10:30, 20:30] == (200, 30, 30)).all()
    assert (shown == (9, 8, 7)).all(-1).sum() == 900 - 200
    beyond = np.asarray(before_wall(picture, square(), (15.0, 15.0, 60.0, 60.0), (9, 8, 7)))
    assert (beyond[:15, :15] == (200, 30, 30)).all() and (beyond[15:] == (9, 8, 7)).all()


def test_alpha_of_the_picture_is_kept() -> None:
    pixels = np.full((40, 40, 4), (0, 0, 255, 255), np.uint8)
    pixels[:, 20:, 3] = 0
    pixels[:, 15:20, 3] = 128
    cut = cut_out(Image.fromarray(pixels), square(), HARD)
    assert cut.size == (10, 20)  # what is transparent is not a part of the thing
    assert (np.asarray(cut)[0, :, 3] == [255] * 5 + [128] * 5).all()
    with pytest.raises(InputError, match="transparent"):
        cut_out(Image.fromarray(pixels), square(left=21, side=8), HARD)


@pytest.mark.parametrize("mode", ["L", "P", "I;16", "LA", "RGBA"])
def test_any_kind_of_picture(mode: str) -> None:
    picture = Image.new("I;16", (40, 40), 51 * 257) if mode == "I;16" else Image.new("L", (40, 40), 51).convert(mode)
    assert np.asarray(on_white(cut_out(picture, square(), HARD)))[5, 5].tolist() == [51, 51, 51]


def test_one_pixel() -> None:
    assert cut_out(Image.new("RGB", (1, 1), "red"), np.ones((1, 1)), CutOutOptions()).size == (1, 1)


def test_faults_are_told() -> None:
    picture = Image.new("RGB", (40, 40))
    with pytest.raises(InputError, match="at least one pixel"):
        cut_out(picture, np.zeros((40, 40)))
    with pytest.raises(InputError, match=r"the mask has the shape \(8, 8\), the picture \(40, 40\)"):
        cut_out(picture, np.ones((8, 8)))
    with pytest.raises(InputError, match="edge"):
        CutOutOptions(edge=-1)
    with pytest.raises(InputError, match="expected all or largest"):
        CutOutOptions(pieces="some")  # type: ignore[arg-type]
