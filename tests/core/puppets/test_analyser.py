"""The puppet analyser against the world's own truth, which it never sees."""

import numpy as np
import pytest
from PIL import Image

from lumosx_core.evaluation.eyes import evaluate_eyes, mask_iou, photograph_specs
from lumosx_core.eyes import Found
from lumosx_core.nano.analyser import DEBUG_ANALYSER, examples, rate, train_analyser, truth
from lumosx_core.puppets.analyser import PuppetAnalyser, drawing_of, words_of
from lumosx_core.puppets.analyser_network import load_network
from lumosx_core.puppets.clip import BLOCK
from lumosx_core.puppets.draw import ATTRIBUTE_LABELS, LABEL_HAIR, LABEL_HEAD
from lumosx_core.puppets.pictures import ATTRIBUTE_EXTENTS
from lumosx_core.puppets.render import render_clip
from lumosx_core.puppets.rooms import overlap


@pytest.fixture(scope="module")
def analyser() -> PuppetAnalyser:
    return PuppetAnalyser()


@pytest.fixture(scope="module")
def specs():
    return photograph_specs(12, seed=7)


def test_it_sees_what_is_there(analyser: PuppetAnalyser, specs) -> None:
    report = evaluate_eyes(analyser, specs)
    assert report.faces == 24 and report.asked > 30
    assert report.counted == 1.0
    assert report.centred >= 0.95
    assert report.people_iou >= 0.95
    assert report.things_iou >= 0.9
    assert report.owned >= 0.95


def test_enlarged_and_cropped_pictures_show_the_same(analyser: PuppetAnalyser, specs) -> None:
    frame = render_clip(specs[1]).frames[0]
    small = analyser.find_people(Image.fromarray(frame))
    large = analyser.find_people(Image.fromarray(frame.repeat(5, 0).repeat(5, 1)))
    assert [person.box for person in large] == [tuple(5 * edge for edge in person.box) for person in small]
    half = frame[:, :48]
    (left,) = analyser.find_people(Image.fromarray(half.repeat(3, 0).repeat(3, 1)))
    assert overlap(tuple(edge / 3 for edge in left.box), small[0].box) > 0.8  # type: ignore[arg-type]


def test_an_embedding_tells_people_apart_whatever_they_wear(analyser: PuppetAnalyser, specs) -> None:
    first = [render_clip(spec).frames[0] for spec in specs]
    right = total = 0
    for spec, frame in zip(specs, first, strict=True):
        later = render_clip(type(spec).from_dict({**spec.to_dict(), "frames": 9})).frames[-1]
        a, b = (analyser.find_faces(Image.fromarray(picture)) for picture in (frame, later))
        if len(a) == len(b) == len(spec.puppets) > 1:
            alike = np.array([[x.embedding @ y.embedding for y in b] for x in a])
            right += int((alike.argmax(1) == np.arange(len(a))).sum())
            total += len(a)
    assert total >= 15 and right / total >= 0.95


def test_a_phrase_within_a_box_is_that_persons(analyser: PuppetAnalyser, specs) -> None:
    spec = next(s for s in specs if len(s.puppets) == 3)
    rendered = render_clip(spec)
    picture = Image.fromarray(rendered.frames[0])
    for n, box in enumerate(rendered.puppet_boxes()[0]):
        kind = spec.puppets[n].attributes[0].kind
        (found,) = analyser.find_phrase(picture, kind, tuple(map(float, box)))  # type: ignore[arg-type]
        assert found.mask is not None and (rendered.owner[0] == n)[found.mask].mean() > 0.9
        assert (analyser.segment(picture, Found(box=found.box, score=1, phrase=kind)) == found.mask).all()
    assert analyser.find_phrase(picture, "violin") == []


def test_heads_and_things_are_framed_as_in_the_pictures_that_are_given(analyser: PuppetAnalyser, specs) -> None:
    spec = specs[0]
    rendered = render_clip(spec)
    picture = Image.fromarray(rendered.frames[0])
    (face,) = analyser.find_faces(picture)
    assert face.mask is not None and face.whole is not None
    worn = [ATTRIBUTE_LABELS[kind] for kind in ("hat", "glasses")]
    truth = np.isin(rendered.label[0], [LABEL_HEAD, LABEL_HAIR, *worn])
    assert mask_iou(face.mask, truth) > 0.9
    side = 1.2 * max(face.box[2] - face.box[0], face.box[3] - face.box[1])
    assert (face.whole[2] - face.whole[0], face.whole[3] - face.whole[1]) == pytest.approx((side, side))
    middle = [(face.whole[i] + face.whole[i + 2]) / 2 for i in (0, 1)]
    assert middle == pytest.approx([(face.box[i] + face.box[i + 2]) / 2 for i in (0, 1)])
    for worn_thing in spec.puppets[0].attributes:
        (found,) = analyser.find_phrase(picture, worn_thing.kind)
        u0, v0, u1, v1 = ATTRIBUTE_EXTENTS[worn_thing.kind]
        assert found.whole is not None
        assert found.whole[2] - found.whole[0] == pytest.approx(2 / 1.5 * (u1 - u0))
        assert found.whole[3] - found.whole[1] == pytest.approx(2 / 1.5 * (v1 - v0))


def test_a_picture_without_people_shows_nobody(analyser: PuppetAnalyser) -> None:
    for picture in (Image.new("RGB", (96, 80), "white"), Image.new("RGB", (1, 1)), Image.new("L", (7, 900), 90)):
        assert analyser.find_people(picture) == [] and analyser.find_faces(picture) == []
        assert analyser.segment(picture, Found(box=(0, 0, 1, 1), score=1)).shape == picture.size[::-1]


@pytest.mark.parametrize(
    ("phrase", "words"),
    [
        ("red striped shirt", ("red", "striped", "shirt")),
        ("a Gray coat", ("grey", None, "jacket")),
        ("glasses", (None, None, "glasses")),
        ("blue sunglasses", ("blue", None, "glasses")),
        ("two red balls", ("red", None, "ball")),
        ("the hat of a black box", ("black", None, "box")),
        ("green", ("green", None, None)),
        ("violin", (None, None, None)),
    ],
)
def test_words_of_phrases(phrase: str, words) -> None:
    assert words_of(phrase) == words


def test_the_drawing_of_a_picture(specs) -> None:
    frame = render_clip(specs[0]).frames[0]
    drawing = frame[::BLOCK, ::BLOCK]
    assert (drawing_of(frame) == drawing).all()
    assert (drawing_of(frame.repeat(4, 0).repeat(4, 1)) == drawing).all()
    resized = np.asarray(Image.fromarray(frame).resize((480, 400), Image.Resampling.BICUBIC))
    assert np.abs(drawing_of(resized).astype(int) - drawing).mean() < 8


def test_the_truth_that_the_network_learns_from() -> None:
    pictures = examples(3)
    batch = [next(pictures) for _ in range(6)]
    right = truth(batch)
    for n, one in enumerate(batch):
        person = right["person"][n].numpy()
        assert (person == (one.thing < 3)).all()
        assert ((right["skin"][n].numpy() >= 0) == (person & np.isin(one.part, (2, 3)))).all()
        looks = right["colour"][n].numpy() >= 0
        assert (looks == (one.part >= 4)).all()
        rows, columns = np.nonzero(person)
        way = right["way"][n].numpy()[:, rows, columns] * 8
        heads = np.stack([columns + 0.5 + way[0], rows + 0.5 + way[1]], 1)
        assert np.allclose(heads, one.heads[one.thing[rows, columns]], atol=1e-4)
        top = {p: rows[one.thing[rows, columns] == p].min() for p in np.unique(one.thing[rows, columns])}
        assert all(one.heads[p][1] > top[p] for p in top)  # below the top of the hat


def test_training_writes_what_the_analyser_loads(tmp_path) -> None:
    losses: list[float] = []
    network = train_analyser(tmp_path / "a.safetensors", DEBUG_ANALYSER, workers=0, on_step=lambda _, loss: losses.append(loss))
    assert len(losses) == DEBUG_ANALYSER.steps and losses[-1] < losses[0]
    loaded = load_network(tmp_path / "a.safetensors")
    for key, value in network.state_dict().items():
        assert np.allclose(value.float(), loaded.state_dict()[key].float(), rtol=2e-3, atol=1e-3)
    assert rate(0.0) < 0.1 and rate(0.05) == pytest.approx(1.0, abs=0.01) and rate(1.0) < 0.01


def test_pictures_of_fewer_pixels_than_a_drawing_and_of_16k() -> None:
    """Strips in which large pixels would have no pixel of their own; and a long picture that is no drawing."""
    rng = np.random.default_rng(0)
    analyser = PuppetAnalyser()
    for size in ((8, 16384), (16384, 8), (9, 300), (39, 47), (16, 16384)):
        noise = Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))
        for picture in (noise, Image.new("RGB", size[::-1])):
            for person in analyser.look(picture).people:
                assert person.mask.shape == size and person.mask.any()
