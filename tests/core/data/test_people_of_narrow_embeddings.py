"""People are followed by faces also where a network's embeddings of different people are nearly as alike as one person's."""

import numpy as np

from lumosx_core.data.records import PersonView
from lumosx_core.data.stages.people import _alike, likest_strangers

COMMON = np.array([1.0, 0.0, 0.0])


def view(frame: int, left: float, own: np.ndarray) -> PersonView:
    embedding = COMMON + 0.3 * own
    embedding = embedding / np.linalg.norm(embedding)
    return PersonView(frame=frame, box=(left, 0.0, left + 100, 300.0), score=1.0, mask="", embedding=tuple(embedding.tolist()))


def test_people_who_change_places_keep_their_faces() -> None:
    her, him = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
    frames = [[view(0, 0, her), view(0, 90, him)], [view(1, 0, him), view(1, 90, her)]]
    strangers = likest_strangers(frames)
    assert 0.9 < strangers < 0.95
    same, other = (_alike([frames[0][0]], seen, 0.6, strangers) for seen in (frames[1][1], frames[1][0]))
    assert same > 0.6 and other < 0.45
    assert likest_strangers([[frames[0][0]], [frames[1][0]]]) == 0  # nobody beside another: nothing to compare with
