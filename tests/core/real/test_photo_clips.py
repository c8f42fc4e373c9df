"""Real weights on photographs: a few clips here, sixty by `python -m tests.core.real.measure`."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumosx_core.files.images import open_image, rgb_on_white
from tests.core.real import kit

pytestmark = [pytest.mark.real, pytest.mark.skipif(not kit.is_there(), reason=kit.ADVICE)]


def test_photo_clips_are_collected_rightly(tmp_path: Path) -> None:
    from tests.core.real.measure import measure
    from tests.core.real.photo_clips import photo_clip

    clips = [photo_clip(2, 2, crossing=True), photo_clip(1, 3)]
    true = measure(clips, tmp_path, exchanged=False)
    for name in ("people found", "faces found, each with one person", "tracks right", "accepted relations right"):
        assert true.rate(name) == 1, true.text()
    assert true.rate("true relations kept") == 1, true.text()
    assert min(true.masks["person"]) > 0.85 and min(true.masks["shirt"]) > 0.85, true.text()
    moved = measure(clips, tmp_path, exchanged=True)
    assert moved.rate("exchanged shirts marked") == 1, moved.text()


def test_faces_and_people_of_a_photograph() -> None:
    from tests.core.real.eyes import KitFaces, KitPeople

    photo = rgb_on_white(open_image(kit.PEOPLE / "P005" / "assets" / "amateur_posture.jpg"))
    photo = photo.resize((photo.width // 2, photo.height // 2), Image.Resampling.LANCZOS)
    (face,) = KitFaces().find_faces(photo)
    (person,) = KitPeople().find_people(photo)
    x, y = (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2
    # the man stands in the middle of the picture, his head below the upper edge
    assert abs(x / photo.width - 0.46) < 0.06 and abs(y / photo.height - 0.12) < 0.05
    assert len(face.points) == 5 and all(
        face.box[0] <= px <= face.box[2] and face.box[1] <= py <= face.box[3] for px, py in face.points
    )
    assert face.embedding is not None and np.linalg.norm(face.embedding) == pytest.approx(1, abs=1e-5)
    assert person.mask is not None and person.mask[round(y), round(x)] and person.box[3] > 2 * face.box[3]


def test_the_metric_of_faces_knows_people_of_other_pictures(tmp_path: Path) -> None:
    """References out of other photographs than the video's: everybody is found and most like themself, a stranger is not."""
    from lumosx_core.evaluation.metrics.faces import Faces
    from lumosx_core.references import ReferenceSet, Sample, Subject
    from lumosx_core.sample_folder import write_sample
    from tests.core.real.eyes import KitFaces
    from tests.core.real.photo_clips import photo_clip, render_frame

    def head(name: str) -> Image.Image:
        photo = rgb_on_white(open_image(kit.PEOPLE / name / "assets" / "amateur_posture.jpg"))
        photo = photo.resize((photo.width // 2, photo.height // 2), Image.Resampling.LANCZOS)
        (face,) = KitFaces().find_faces(photo)
        left, top, right, bottom = face.box
        room = (bottom - top) / 2
        return photo.crop((round(left - room), round(top - room), round(right + room), round(bottom + room)))

    clip = photo_clip(2, 2)
    names = [walk.name for walk in clip.walks]
    stranger = next(name for name in ("P007", "P008", "P009") if name not in names)
    subjects = tuple(Subject(name=name, face=head(name)) for name in (*names, stranger))
    write_sample(tmp_path / "sample", Sample(prompt="people", references=ReferenceSet(subjects=subjects)))
    video = np.stack([render_frame(clip, number).rgb for number in (0, 12)])
    metric = Faces(KitFaces())
    values = metric.score(video, tmp_path / "sample")
    assert values["faces"] == [2, 2] and [person["seen"] for person in values["people"]] == [1, 1, 1]
    for person in values["people"][:2]:
        pairs = zip(person["similarity"], person["other"], strict=True)
        assert all(own > other + 0.02 for own, other in pairs), values
    assert values["people"][2]["similarity"] == [None, None]
    assert metric.figures(values)["found"] == (4, 6) and metric.figures(values)["most like own"] == (4, 4)
