"""Binding of videos with known answers: perfect, exchanged, half exchanged, one thing on all, missing, extra, twins, leaks.

Faces and things are vectors of length 1, one axis each, so that every similarity is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from lumosx_core.errors import InputError
from lumosx_core.evaluation import binding
from lumosx_core.evaluation.binding import Measured, Thing, Verdict

SIZE = 24
ANN, BOB, CAT, JACKET_A, JACKET_B, HAT_A, HAT_B, BAG_A, STRANGER, OTHER = np.eye(SIZE)[:10]
FAR_FACES, FAR_THINGS = [STRANGER, np.eye(SIZE)[20]], [OTHER, np.eye(SIZE)[21]]


def blend(a: np.ndarray, b: np.ndarray, share: float = 0.5) -> np.ndarray:
    mixed = (1 - share) * a + share * b
    return mixed / np.linalg.norm(mixed)


@dataclass
class Body:
    """Somebody in a frame: the face, and what is found on them by kind."""

    face: np.ndarray
    wears: Mapping[str, np.ndarray] = field(default_factory=dict)


PEOPLE = [ANN, BOB]
ASKED = [(0, "jacket", JACKET_A), (0, "hat", HAT_A), (1, "jacket", JACKET_B), (1, "hat", HAT_B)]
RIGHT_A = Body(ANN, {"jacket": JACKET_A, "hat": HAT_A})
RIGHT_B = Body(BOB, {"jacket": JACKET_B, "hat": HAT_B})


def measure(
    frames: Sequence[Sequence[Body]],
    people: Sequence[np.ndarray] = PEOPLE,
    asked: Sequence[tuple[int, str, np.ndarray]] = ASKED,
    distractors: Sequence[np.ndarray] = FAR_THINGS,
) -> Measured:
    """What ideal finders and an ideal embedder would measure."""
    faces = np.array([*people, *FAR_FACES])
    things = np.array([*(vector for *_, vector in asked), *distractors])
    count, wanted = len(people), len(asked)
    of_faces = np.full((len(frames), count, len(faces)), np.nan)
    of_things = np.full((len(frames), count, wanted, len(things)), np.nan)
    for f, bodies in enumerate(frames):
        likeness = np.array([[body.face @ person for person in people] for body in bodies]).reshape(len(bodies), count)
        for n, k in enumerate(binding.match_one_to_one(likeness)):
            if k is not None:
                of_faces[f, n] = faces @ bodies[k].face
                for t, (_, kind, _) in enumerate(asked):
                    if kind in bodies[k].wears:
                        of_things[f, n, t] = things @ bodies[k].wears[kind]
    return Measured(
        asked=tuple(Thing(owner=owner, kind=kind) for owner, kind, _ in asked),
        faces=of_faces,
        things=of_things,
        among_faces=faces[:count] @ faces.T,
        among_things=things[:wanted] @ things.T,
    )


def outcomes(measured: Measured) -> list[str]:
    return [verdict.outcome for verdict in binding.judge(measured)]


def test_a_perfect_video_wherever_everybody_stands() -> None:
    measured = measure([[RIGHT_A, RIGHT_B], [RIGHT_B, RIGHT_A], [RIGHT_A, RIGHT_B]])
    verdicts = binding.judge(measured)
    assert [(v.outcome, v.shown) for v in verdicts] == [("bound", 0), ("bound", 0), ("bound", 1), ("bound", 1)]
    assert binding.recognised(measured).all()
    identities, things = binding.confusion(measured)
    assert np.allclose(identities, 0) and np.allclose(things, 0)
    assert binding.drift(things) == 0 and binding.interference(things) == 0
    assert binding.pairs(measured, verdicts) == binding.Pairs(asked=2, exchanged=0, dominance=0, blending=0)


def test_exchanged_things_are_swapped_and_told_in_the_matrix() -> None:
    ann = Body(ANN, {"jacket": JACKET_B, "hat": HAT_B})
    bob = Body(BOB, {"jacket": JACKET_A, "hat": HAT_A})
    measured = measure([[ann, bob]] * 3)
    verdicts = binding.judge(measured)
    assert [(v.outcome, v.shown) for v in verdicts] == [("swapped", 1)] * 2 + [("swapped", 0)] * 2
    identities, things = binding.confusion(measured)
    assert np.allclose(identities, 0) and np.allclose(things, [[-1, 1], [1, -1]])
    assert binding.drift(things) == 1 and binding.interference(things) == 1
    assert binding.pairs(measured, verdicts) == binding.Pairs(asked=2, exchanged=2, dominance=0, blending=0)


def test_half_exchanged_things() -> None:
    ann, bob = Body(ANN, {"jacket": JACKET_B, "hat": HAT_A}), Body(BOB, {"jacket": JACKET_A, "hat": HAT_B})
    measured = measure([[ann, bob]])
    assert outcomes(measured) == ["swapped", "bound", "swapped", "bound"]
    assert binding.pairs(measured, binding.judge(measured)).exchanged == 1
    half = measure([[RIGHT_A, RIGHT_B]] * 4 + [[Body(ANN, {"jacket": JACKET_B, "hat": HAT_A}), RIGHT_B]] * 4)
    assert outcomes(half) == ["swapped", "bound", "bound", "bound"]  # in half of the frames is not in most of them
    most = measure([[RIGHT_A, RIGHT_B]] * 5 + [[Body(ANN, {"jacket": JACKET_B, "hat": HAT_A}), RIGHT_B]] * 4)
    assert outcomes(most) == ["bound"] * 4


def test_one_thing_on_all() -> None:
    measured = measure([[RIGHT_A, Body(BOB, {"jacket": JACKET_A, "hat": HAT_B})]] * 2)
    verdicts = binding.judge(measured)
    assert [(v.outcome, v.shown) for v in verdicts] == [("bound", 0), ("bound", 0), ("swapped", 0), ("bound", 1)]
    assert binding.pairs(measured, verdicts) == binding.Pairs(asked=2, exchanged=0, dominance=1, blending=0)


def test_something_between_both_is_a_blend_and_something_lost_is_not() -> None:
    of_ann, of_bob = (blend(JACKET_A, JACKET_B, share) for share in (0.45, 0.55))
    both = [Body(ANN, {"jacket": of_ann, "hat": HAT_A}), Body(BOB, {"jacket": of_bob, "hat": HAT_B})]
    measured = measure([both])
    assert binding.pairs(measured, binding.judge(measured)) == binding.Pairs(asked=2, exchanged=0, dominance=0, blending=1)
    faded = blend(JACKET_A, np.eye(SIZE)[23], 0.8)
    lost = measure([[Body(ANN, {"jacket": faded, "hat": HAT_A}), RIGHT_B]])
    assert binding.pairs(lost, binding.judge(lost)).blending == 0
    _, things = binding.confusion(lost)
    # Of two things of each person one has lost 1 - 0.2 / sqrt(0.2 ** 2 + 0.8 ** 2) of its likeness.
    assert things[0, 0] == pytest.approx((0.2 / np.hypot(0.2, 0.8) - 1) / 2) and binding.interference(things) == 0


def test_a_missing_face_and_a_missing_thing() -> None:
    measured = measure([[RIGHT_A], [RIGHT_A, RIGHT_B], [RIGHT_A]])
    assert outcomes(measured) == ["bound", "bound", "missing", "missing"]
    assert binding.recognised(measured).tolist() == [[True, False], [True, True], [True, False]]
    bare = measure([[Body(ANN, {"jacket": JACKET_A}), RIGHT_B]])
    assert outcomes(bare) == ["bound", "missing", "bound", "bound"]
    nobody = measure([[], []])
    assert outcomes(nobody) == ["missing"] * 4
    identities, things = binding.confusion(nobody)
    assert np.isnan(identities).all() and np.isnan(binding.drift(things)) and np.isnan(binding.interference(things))


def test_an_extra_person_changes_nothing_and_takes_no_missing_ones_place() -> None:
    extra = Body(STRANGER, {"jacket": JACKET_B, "hat": HAT_B})
    assert outcomes(measure([[extra, RIGHT_A, RIGHT_B]])) == ["bound"] * 4
    instead = measure([[extra, RIGHT_A]])  # in Bob's things, but nobody knows the face
    assert outcomes(instead) == ["bound", "bound", "wrong", "wrong"]
    assert binding.recognised(instead).tolist() == [[True, False]]


def test_one_face_on_all_wears_nobody_elses_things() -> None:
    measured = measure([[RIGHT_A, Body(ANN, {"jacket": JACKET_B, "hat": HAT_B})]])
    assert sum(outcome == "bound" for outcome in outcomes(measured)) == 2
    assert "bound" not in outcomes(measured)[2:]


def test_faces_that_are_nearly_the_same_are_told_by_a_hair_and_twins_are_hidden() -> None:
    near = [ANN, blend(ANN, CAT, 0.4)]
    scene = [[Body(near[1], {"jacket": JACKET_B, "hat": HAT_B}), RIGHT_A]]
    assert near[0] @ near[1] == pytest.approx(0.6 / np.hypot(0.6, 0.4)) and outcomes(measure(scene, near)) == ["bound"] * 4
    twins = [ANN, blend(ANN, CAT, 0.05), CAT]
    asked = [*ASKED, (2, "jacket", BAG_A)]
    bodies = [
        Body(twins[0], {"jacket": JACKET_A, "hat": HAT_A}),
        Body(twins[1], {"jacket": JACKET_B, "hat": HAT_B}),
        Body(twins[2], {"jacket": BAG_A}),
    ]
    assert outcomes(measure([bodies], people=twins, asked=asked)) == ["hidden"] * 4 + ["bound"]


def test_two_like_jackets_are_no_swap_but_a_strange_one_is_wrong() -> None:
    like = blend(JACKET_A, JACKET_B, 0.1)
    asked = [(0, "jacket", JACKET_A), (1, "jacket", like)]
    each = [Body(ANN, {"jacket": like}), Body(BOB, {"jacket": JACKET_A})]
    measured = measure([each], asked=asked)
    assert outcomes(measured) == ["bound", "bound"]
    assert binding.pairs(measured, binding.judge(measured)).asked == 0
    strange = measure([[Body(ANN, {"jacket": OTHER}), RIGHT_B]])
    assert outcomes(strange) == ["wrong", "missing", "bound", "bound"]
    same = measure([each], asked=asked, distractors=[*FAR_THINGS, like])  # a distractor that is the same thing
    assert outcomes(same) == ["bound", "bound"]


def test_likeness_is_read_on_the_scale_of_random_others() -> None:
    """Jackets with a cosine of 0.92 are the same where random ones have 0.1, and different where random ones have 0.8."""

    def among(between: float, level: float) -> np.ndarray:
        return np.array([[1, between, level, level], [between, 1, level, level]])

    assert binding.alike(among(0.92, 0.1))[:, :2].all()
    assert binding.alike(among(0.92, 0.8))[:, :2].tolist() == [[True, False], [False, True]]
    assert not binding.alike(np.full((1, 3), np.nan)).any()


def test_a_thing_on_somebody_who_should_wear_none_is_swapped() -> None:
    asked = [(0, "bag", BAG_A), (0, "hat", HAT_A), (1, "hat", HAT_B)]
    moved = measure([[Body(ANN, {"hat": HAT_A}), Body(BOB, {"bag": BAG_A, "hat": HAT_B})]], asked=asked)
    assert binding.judge(moved) == [
        Verdict(outcome="swapped", worn_by=1),
        Verdict(outcome="bound", shown=0),
        Verdict(outcome="bound", shown=1),
    ]
    kept = measure([[Body(ANN, {"bag": BAG_A, "hat": HAT_A}), Body(BOB, {"bag": OTHER, "hat": HAT_B})]], asked=asked)
    assert outcomes(kept) == ["bound"] * 3


def test_things_of_people_without_a_face_and_those_without_a_noun_are_hidden() -> None:
    measured = measure([[RIGHT_A, RIGHT_B]])
    measured.among_faces[1] = np.nan
    assert outcomes(measured) == ["bound", "bound", "hidden", "hidden"]
    asked = (Thing(owner=0, kind="", hidden=True), *measured.asked[1:])
    vague = Measured(
        asked=asked,
        faces=measured.faces,
        things=measured.things,
        among_faces=measured.among_faces,
        among_things=measured.among_things,
    )
    assert outcomes(vague) == ["hidden", "bound", "hidden", "hidden"]


def test_ties_of_frames() -> None:
    swapped, wrong, missing, bound = (Verdict(outcome=name) for name in ("swapped", "wrong", "missing", "bound"))
    assert binding.majority([bound]).outcome == "bound" and binding.majority([]).outcome == "missing"
    assert binding.majority([bound, missing]).outcome == "missing"
    assert binding.majority([wrong, missing]).outcome == "wrong"
    assert binding.majority([wrong, swapped, missing]).outcome == "swapped"
    assert binding.majority([bound, bound, bound, wrong, wrong]).outcome == "bound"
    assert binding.majority([Verdict(outcome="swapped", shown=1), Verdict(outcome="swapped", shown=2), swapped]).shown == 1


def test_matching_uses_every_face_once() -> None:
    assert binding.match_one_to_one(np.array([[0.9, 0.8], [0.8, 0.1]])) == [1, 0]
    assert binding.match_one_to_one(np.array([[0.9, np.nan], [0.95, np.nan]])) == [1, None]
    assert binding.match_one_to_one(np.zeros((0, 2))) == [None, None]
    assert binding.match_one_to_one(np.zeros((2, 0))) == []


def test_paper_and_canvases_leak_where_they_show() -> None:
    scene = np.random.default_rng(0).integers(0, 200, (6, 40, 48, 3), dtype=np.uint8)
    canvas = np.full((40, 48, 3), 255, np.uint8)
    canvas[10:30, 14:34] = (200, 30, 60)
    video = scene.copy()
    video[4], video[5] = 255, canvas  # a flash at the end, then a reference
    assert binding.leaked_frames(video, []).tolist() == [False] * 4 + [True, False]
    assert binding.leaked_frames(video, [canvas]).tolist() == [False] * 4 + [True, True]
    wall = np.full((1, 40, 48, 3), 225, np.uint8)  # bright, but no paper
    wall[:, 10:30, 10:30] = scene[0, 10:30, 10:30]
    assert not binding.leaked_frames(wall, [canvas]).any()
    dim = canvas.copy()
    dim[dim == 255] = 252  # as a codec leaves it
    assert binding.leaked_frames(dim[None], [canvas]).tolist() == [True]


def test_the_copy_gap() -> None:
    assert binding.copy_gap([0.9, 0.7], [0.5, 0.6]) == pytest.approx(0.25) and np.isnan(binding.copy_gap([], []))
    with pytest.raises(InputError, match="got 1 likenesses to the first view and 2 to another"):
        binding.copy_gap([1.0], [0.5, 0.5])


def test_other_shapes_are_refused() -> None:
    good = measure([[RIGHT_A]])
    with pytest.raises(InputError, match=r"things has the shape \(1, 2, 4, 6\), expected \(2, 2, 4, 6\)"):
        Measured(
            asked=good.asked,
            faces=good.faces.repeat(2, 0),
            things=good.things,
            among_faces=good.among_faces,
            among_things=good.among_things,
        )
    with pytest.raises(InputError, match="belongs to person 2, there are 2"):
        Measured(
            asked=(*good.asked[:3], Thing(owner=2, kind="hat")),
            faces=good.faces,
            things=good.things,
            among_faces=good.among_faces,
            among_things=good.among_things,
        )
