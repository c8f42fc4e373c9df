"""The table and the chart of an ablation, from results that are made by hand."""

from pathlib import Path

import numpy as np
import pytest

from lumosx_core.drawing.palette import SUBJECT_COLOURS
from lumosx_core.errors import InputError
from lumosx_core.evaluation.ablation import ablation_suite
from lumosx_core.evaluation.ablation_report import LEFT, ROW, TOP, WIDTH, ablation_chart, write_ablation_report
from lumosx_core.evaluation.generate_run import take_videos
from lumosx_core.evaluation.scoring import PUPPETS, Score
from lumosx_core.files.json import write_json
from lumosx_core.files.json_lines import append_record
from lumosx_core.files.videos import write_video

TITLES = {"none": "no relations", "full": "all relations", "strong": "more of them"}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of `full`, everything bound; of `none` one seed with half of it bound, and one that is not sampled yet."""
    out = tmp_path_factory.mktemp("ablation")
    suite = ablation_suite(out, cases=6, frames=1)
    names = [path.name for path in sorted((suite / "cases").iterdir())]
    for name in names:
        write_video(out / "videos" / f"{name}.mp4", np.zeros((1, 80, 96, 3), np.uint8), 8)
    for setting, seed, loss, bound in (("full", 0, 0.5, 4), ("full", 1, 0.7, 4), ("none", 0, 0.9, 2)):
        run = take_videos(suite, out / "videos", out / f"{setting}-{seed}" / "run")
        for name in names:
            things = [{"subject": n // 2, "kind": "hat", "outcome": "bound" if n < bound else "swapped"} for n in range(4)]
            values = {"frames": [0], "people": [{"identity": True}] * 2, "things": things}
            append_record(run.folder / "scores.jsonl", Score(case=name, metric=PUPPETS, values=values))
        write_json(out / f"{setting}-{seed}" / "figures.json", {"validation": loss, "binding_margin": loss / 100})
    write_json(out / "none-1" / "figures.json", {"validation": 1.1})
    return out


def test_seeds_are_put_together_and_full_is_set_beside_none(out: Path) -> None:
    report = write_ablation_report(out, TITLES)
    full, none = report["settings"]["full"], report["settings"]["none"]
    assert full["loss"] == {"mean": pytest.approx(0.6), "low": 0.5, "high": 0.7} and none["loss"]["high"] == 1.1
    assert full["binding_margin"]["mean"] == pytest.approx(0.006) and (full["runs"], none["runs"]) == (2, 2)
    assert (full["bound"]["all"]["value"], full["bound"]["all"]["cases"], full["bound"]["all"]["asked"]) == (1, 6, 48)
    assert (none["bound"]["same"]["value"], none["bound"]["same"]["cases"]) == (0.5, 2)
    assert full["bound_of_seeds"]["all"] == [1, 1] and none["bound_of_seeds"]["all"] == [0.5]
    assert report["missing"] == ["strong"] and report["differences"]["all"]["interval"]["value"] == 0.5
    text = (out / "ablation.md").read_text("utf-8")
    assert "| all relations | 2 | 0.6000 (0.5000 to 0.7000) | 0.00600 (0.00500 to 0.00700) | 100.0 (" in text
    assert "Full minus none, all wordings: +50.0 points (+50.0 to +50.0; p = 0.0" in text and "Not run: strong." in text


def test_the_chart_has_its_dots_where_the_figures_are(out: Path) -> None:
    chart = ablation_chart(write_ablation_report(out, TITLES))
    middle = TOP + ROW // 2 - 8  # of the first row, `none`
    assert chart.getpixel((LEFT + WIDTH // 2, middle - 8)) == SUBJECT_COLOURS[1]
    assert chart.getpixel((LEFT + WIDTH // 2, middle + 8)) == SUBJECT_COLOURS[0]
    assert chart.getpixel((LEFT + WIDTH, middle + ROW - 8)) == SUBJECT_COLOURS[1]
    assert chart.getpixel((LEFT + WIDTH, middle - 8)) not in SUBJECT_COLOURS[:2]


def test_nothing_finished_and_another_suite_are_told(out: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run of .* is finished yet"):
        write_ablation_report(tmp_path, TITLES)
    with pytest.raises(InputError, match="is another suite"):
        ablation_suite(out, cases=6, frames=5)
