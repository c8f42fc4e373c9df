"""`lumosx people` on a picture of the puppet world."""

from pathlib import Path

import pytest
from PIL import Image

from lumosx_core.cli import doctor
from lumosx_core.cli.main import main
from lumosx_core.evaluation.eyes import photograph_specs
from lumosx_core.files.images import open_image
from lumosx_core.puppets.render import render_clip
from lumosx_core.sample_folder import read_sample


def test_the_command_takes_the_person_that_was_asked_for(tmp_path, capsys) -> None:
    spec = next(s for s in photograph_specs(12, seed=7) if len(s.puppets) == 2 and len(s.puppets[1].attributes) > 1)
    photo, out = tmp_path / "photo.png", tmp_path / "sample" / "subjects" / "1"
    rendered = render_clip(spec)
    Image.fromarray(rendered.frames[0]).save(photo)
    phrases = spec.caption.attribute_phrases[1]
    words = ["people", str(photo), "--name", "kid", "--attributes", *phrases, "--number", "2", "--out", str(out)]
    words += ["--eyes", "puppets", "--sheet", str(tmp_path / "sheet.png")]
    assert main(words) == 0
    assert "number 2 from the left" in capsys.readouterr().out
    assert open_image(tmp_path / "sheet.png").width > 480
    (tmp_path / "sample" / "caption.txt").write_text("a kid")
    (subject,) = read_sample(tmp_path / "sample").references.subjects
    assert subject.name == "kid" and {item.phrase for item in subject.attributes} == set(phrases)
    assert subject.face is not None and subject.face.width == subject.face.height
    assert main(words) == 2  # the folder is there
    assert main([*words, "--overwrite"]) == 0
    assert main([*words[:-4], "--eyes", str(tmp_path / "none"), "--overwrite"]) == 2
    told = capsys.readouterr().err
    assert "PekingU/rtdetr_v2_r50vd into" in told and "licence: Apache-2.0" in told and "--eyes puppets" in told


@pytest.mark.parametrize(
    ("picture", "more", "message"),
    [
        (Image.new("RGB", (1, 1)), [], "photograph 1 shows nobody"),
        (Image.new("L", (40, 30), 255), [], "photograph 1 shows nobody"),
        (Image.new("RGBA", (96, 80), (9, 9, 9, 0)), [], "photograph 1 shows nobody"),
        (Image.new("RGB", (16384, 8)), [], "photograph 1 shows nobody"),
        (Image.new("RGB", (16385, 1)), [], "photo.png"),
        (None, [], "photo.png"),
        (Image.new("RGB", (9, 9)), ["--number", "0"], "the number of the person is 0, expected a whole number from 1"),
        (Image.new("RGB", (9, 9)), ["--point", "1"], "the points '1' are not understood"),
        (Image.new("RGB", (9, 9)), ["--point", "1,2;3,4"], "--point gives 2 points, expected one"),
        (Image.new("RGB", (9, 9)), ["--device", "tpu"], "tpu"),
        (Image.new("RGB", (9, 9)), ["--name", " "], "the name is empty; give the words"),
    ],
)  # fmt: skip
def test_what_the_command_cannot_use_is_told_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], picture: Image.Image | None, more: list[str], message: str
) -> None:
    photo = tmp_path / "photo.png"
    if picture is None:
        photo.write_text("no picture")
    else:
        picture.save(photo)
    words = ["people", str(photo), "--name", "kid", "--attributes", "hat", "--eyes", "puppets"]
    assert main([*words, "--out", str(tmp_path / "1"), "--sheet", str(tmp_path / "sheet.png"), *more]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_doctor_tells_eyes_that_are_another_model_or_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, file, content in (
        ("rtdetr_v2", "config.json", '{"model_type": "sam2"}'),
        ("rtdetr_v2", "preprocessor_config.json", "{}"),
        ("owlv2", "config.json", '{"model_type": "owlv2"}'),
        ("sam3", "config.json", "no json"),
        ("sam", "sam_vit_b_01ec64.pth", ""),
    ):
        (tmp_path / "models" / "eyes" / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "models" / "eyes" / name / file).write_text(content)
    doctor._report_eyes()
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert "FAULT: the model in models/eyes/rtdetr_v2 is of the kind 'sam2', expected one of rt_detr_v2" in lines["rtdetr_v2"]
    assert "FAULT: has no preprocessor_config.json and no tokenizer_config.json; get google/owlv2" in lines["owlv2"]
    assert "FAULT: " in lines["sam3"] and "sam3/config.json" in lines["sam3"]
    assert ": there;" in lines["sam"] and "not there (optional; get ustc-community" in lines["d_fine"]
