"""`lumosx bench`: what stands side by side computes the same, takes turns, and is counted at its true size."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lumosx_core.checks.attention_speed import attention_variants
from lumosx_core.checks.memory_count import forward_memory
from lumosx_core.checks.model_speed import block_variants, forward_variants, sampling_variants, subject_variants, with_added
from lumosx_core.checks.speed_case import SpeedCase, layout_with, shared_out
from lumosx_core.checks.turns import spread, take_turns
from lumosx_core.cli import startup_time
from lumosx_core.cli.main import main
from lumosx_core.drawing.palette import SUBJECT_COLOURS
from lumosx_core.drawing.ratio_chart import draw_ratios
from lumosx_core.errors import InputError
from lumosx_core.model.attention_backends import select_attention
from lumosx_core.model.config import PRESETS
from lumosx_core.model.live_memory import LiveMemory


@pytest.fixture(scope="module")
def case() -> SpeedCase:
    layout = layout_with(3, 5, 6, single=2, groups=[2, 1])
    return SpeedCase(layout=layout, config=PRESETS["debug"], backend=select_attention("sdpa", "cpu", torch.float32), batch=2)


def test_the_layouts_that_stand_side_by_side(case: SpeedCase) -> None:
    assert (case.layout.kinds, case.layout.subjects) == (
        ("background", "object", "face", "attribute", "face"),
        (None, None, 0, 0, 1),
    )
    assert case.as_plain.seq_len == case.layout.seq_len == 8 * 30 and not case.as_plain.kinds
    assert case.without_references.seq_len == 3 * 30
    assert case.half_blank.seq_len == 3 * 30 + 5 * 15 and case.half_blank.reference_lens == (15,) * 5
    # 3 frames of queries see 8; two groups of one picture, one of two, one of one, in units of a frame.
    counted, d = case.arithmetic(), 32
    assert counted["self-attention"] == pytest.approx((3 * 8 + 1 + 1 + 4 + 1) / 64)
    row = 6 * d * d + 2 * d * 64 + 2 * d * 16  # of attention's and the feed-forward's weights, and of the text
    alone, plain = (8 * 30 * row + 2 * d * 900 * pairs for pairs in (31, 64))
    both = (6 + 5) * 30 * row + 2 * d * 900 * (2 * 24 + 7)
    assert counted["block"] == pytest.approx(alone / plain) and counted["video of a batch"] == pytest.approx(both / alone / 2)
    assert [shared_out(count) for count in (0, 2, 9, 16)] == [(0, []), (2, []), (3, [3, 3]), (3, [3, 3, 3, 3, 1])]


def test_twice_the_subjects_cost_twice_as_much() -> None:
    """At 832 x 480 and 81 frames of the 1.3B model: what subjects add grows with their number, not with its square."""
    backend, counted = select_attention("sdpa", "cpu", torch.float32), []
    for single, groups in ((3, [3]), (3, [3, 3]), (0, [3, 3, 3, 3]), (3, [])):
        layout = layout_with(21, 30, 52, single=single, groups=groups)
        counted.append(SpeedCase(layout=layout, config=PRESETS["t2v_1_3b"], backend=backend).arithmetic()["twice the subjects"])
    assert counted == [pytest.approx(2, abs=0.1)] * 3 + [0]


@torch.no_grad()
def test_subjects_are_added_as_others(case: SpeedCase) -> None:
    layouts = [case.with_subjects(times) for times in (0, 1, 2)]
    assert layouts[1] == case.layout and layouts[0].kinds == ("background", "object")
    assert layouts[2].subjects == (None, None, 0, 0, 1, 2, 2, 3) and layouts[2].kinds[2:5] == layouts[2].kinds[5:]
    calls = subject_variants(case)["subjects"]
    assert [call().shape[1] for call in calls.values()] == [5 * 30, 8 * 30, 11 * 30]
    rows = with_added({name: {"ratio": ratio} for name, ratio in zip(calls, (1.0, 1.5, 2.1), strict=True)})
    assert [row["added"] for row in rows.values()] == [0, 1, pytest.approx(2.2)]
    with pytest.raises(InputError, match="there are no subjects to count; give pictures of each with --groups"):
        subject_variants(SpeedCase(layout=case.with_subjects(0), config=case.config, backend=case.backend))


@torch.no_grad()
def test_the_dense_ways_compute_what_the_rectangles_compute(case: SpeedCase) -> None:
    tables = attention_variants(case)
    for table, dense in (("self", "dense mask"), ("cross", "dense bias")):
        got, expected = tables[table]["relational"](), tables[table][dense]()
        assert got.shape == (2, 240, 2, 16) and (got - expected).abs().max() < 2e-6
        assert (got - tables[table]["plain"]()).abs().max() > 1e-2
        assert tables[table]["no references"]().shape == (2, 90, 2, 16)


@torch.no_grad()
def test_a_block_with_dense_masks_is_the_relational_block_without_its_positions(case: SpeedCase) -> None:
    calls = block_variants(case)["block"]
    assert set(calls) == {"plain", "relational", "no references", "dense mask"}
    video = case.layout.video_len
    # Positions differ for the references alone, so what they show to the video does too; background and objects lie alike.
    got, dense, plain = calls["relational"](), calls["dense mask"](), calls["plain"]()
    same = slice(video, video + 2 * case.layout.tokens_per_frame)
    assert (got[:, same] - dense[:, same]).abs().max() < 2e-5 and (got[:, same] - plain[:, same]).abs().max() > 1e-2
    assert torch.equal(dense, calls["dense mask"]())  # the second time too


@torch.no_grad()
def test_forward_and_sampling_give_a_video(case: SpeedCase) -> None:
    calls = forward_variants(case)["forward"]
    assert list(calls) == ["plain", "relational", "no references", "half blank", "kept references", "all keys"]
    for name, call in calls.items():
        assert call().shape == (2, 16, 8 if name == "plain" else 3, 10, 12)
    tables = sampling_variants(case, steps=2)
    for name, call in tables["sampling"].items():
        out = call()
        assert out.shape == (1, 16, 8 if name == "plain" else 3, 10, 12) and torch.isfinite(out).all()
    assert tables["batch"]["together"]().shape == (2, 16, 3, 10, 12) and set(tables["batch"]) == {"one by one", "together"}


def test_fake_tensors_count_what_real_ones_take(case: SpeedCase) -> None:
    counted = forward_memory(case)["memory"]
    for name, call in forward_variants(case)["forward"].items():
        with torch.no_grad(), LiveMemory() as memory:
            call()
        assert counted[name]["peak_gib"] * 2**30 == pytest.approx(memory.peak, rel=0.02)
    assert counted["no references"]["ratio"] < 0.7


def test_variants_take_turns() -> None:
    order: list[str] = []
    calls = {"t": {"plain": lambda: order.append("a"), "other": lambda: order.append("b")}}
    rows = take_turns(calls, repeats=3, progress=lambda stage, done, total: order.append(f"{stage} {done}/{total}"))
    assert order == [step for turn in range(1, 5) for step in ("a", "b", f"rounds {turn}/4")]
    assert rows["t"]["plain"]["ratio"] == rows["t"]["plain"]["ratio_low"] == rows["t"]["plain"]["ratio_high"] == 1
    assert spread("x", [4.0, 1.0, 3.0, 2.0, 5.0]) == {"x": 3.0, "x_low": 2.0, "x_high": 4.0}
    assert spread("x", [4.0]) == {"x": 4.0, "x_low": 4.0, "x_high": 4.0}


def test_bars_are_as_long_as_their_figures() -> None:
    table = {"plain": {"ratio": 1.0}, "half": {"ratio": 0.5}}
    picture = draw_ratios("title", "note", [("", {"self": table})], "ratio")
    pixels = np.asarray(picture)
    lengths = [int((pixels == colour).all(-1).sum(1).max()) for colour in SUBJECT_COLOURS[:2]]
    assert lengths[0] > 500 and lengths[1] / lengths[0] == pytest.approx(0.5, abs=0.01)
    with pytest.raises(InputError, match="no figures"):
        draw_ratios("title", "note", [], "ratio")


def test_a_sweep_is_written_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures, chart = tmp_path / "figures.json", tmp_path / "chart.png"
    line = ["bench", "block", "--frames", "2", "--grid", "2x3", "--heads", "1", "--head-dim", "16", "--repeats", "1"]
    assert main([*line, "--sweep", "references", "0", "4", "--json", str(figures), "--chart", str(chart)]) == 0
    report = json.loads(figures.read_text())
    assert report["sweep"] == "references" and [point["references"] for point in report["points"]] == [0, 4]
    assert set(report["points"][0]["block"]) == {"plain", "relational", "no references"}
    assert {"date", "torch", "device", "tokens"} <= set(report["points"][1])
    with Image.open(chart) as picture:
        assert picture.width == 900
    assert "-- references 4" in capsys.readouterr().out


def test_starts_are_timed_against_another_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(startup_time, "LINES", {"--help": ["--help"]})
    rows = startup_time.startup_times(1, startup_time.HERE)["--help"]
    assert rows["there"]["ratio"] == 1 and rows["here"]["seconds"] > 0.02 and set(rows) == {"there", "here"}
    monkeypatch.setattr(startup_time, "LINES", {"--help": ["colour"]})
    with pytest.raises(InputError, match="colour .*failed in .* invalid choice"):
        startup_time.startup_times(1, startup_time.HERE)
    with pytest.raises(InputError, match="no checkout"):
        startup_time.startup_times(1, tmp_path)
