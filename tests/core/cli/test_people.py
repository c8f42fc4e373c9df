"""`lumosx people` on a picture of the puppet world."""

from PIL import Image

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
