"""Further views: who is taken for one person in two shots, which pictures are taken, where they go, and how they go away."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pair_precision import judge, write_two_shots
from small_collection import run_collect

from lumosx_core.cli.main import main
from lumosx_core.data.clip_dataset import ClipDataset
from lumosx_core.data.collect_config import PUPPETS, PairSettings
from lumosx_core.data.collected import Clip
from lumosx_core.data.dataset import RelationalDataset, check_dataset
from lumosx_core.data.decide import DecidedPerson, Decision
from lumosx_core.data.pack import read_manifest
from lumosx_core.data.pairs import People, Shown, known_people, same_people, with_further_views
from lumosx_core.data.records import FrameRecord, FramesRecord, PeopleRecord, PersonView
from lumosx_core.data.removal import read_removed, write_removed
from lumosx_core.data.sample_views import clips_of_views
from lumosx_core.data.training_clips import find_training_clips
from lumosx_core.errors import InputError
from lumosx_core.files.json import parse_json

SETTINGS = PairSettings(least=0.5, most=0.96, nearer=0.5)
AXES = np.eye(4)


def view(direction: np.ndarray, frame: int = 0, score: float = 1.0, side: float = 40.0) -> PersonView:
    """Somebody whose face has this embedding."""
    embedding = tuple((direction / np.linalg.norm(direction)).tolist())
    box = (0.0, 0.0, side, side)
    return PersonView(frame=frame, box=box, score=1.0, mask="m", face=box, face_score=score, embedding=embedding)


def people(*tracks: list[PersonView]) -> People:
    return known_people(tracks, PUPPETS.keep, (0, 1, 2))


def toward(number: int, share: float = 0.3, other: int = 3) -> np.ndarray:
    """Near an axis."""
    return AXES[number] + share * AXES[other]


def test_people_are_each_others_best_match_clearly_and_more_alike_than_strangers() -> None:
    first = people([view(toward(0))], [view(toward(1))])
    second = people([view(toward(2))], [view(toward(1, 0.5))], [view(toward(0, 0.1))])
    assert same_people(first, second, SETTINGS) == [(0, 2), (1, 1)]
    assert same_people(first, second, replace(SETTINGS, least=0.983)) == [(1, 1)]  # products 0.982 and 0.985
    assert same_people(first, second, SETTINGS, strangers=0.983) == [(1, 1)]
    twins, single = people([view(toward(0, 0.25))], [view(toward(0, 0.35))]), people([view(toward(0))])
    assert same_people(single, twins, SETTINGS) == []  # two fit nearly as well
    assert same_people(single, twins, replace(SETTINGS, nearer=1.0)) == [(0, 1)]
    unknown = people([replace(view(AXES[0]), embedding=())])
    assert same_people(first, unknown, SETTINGS) == [] == same_people(people(), second, SETTINGS)


def test_more_is_asked_for_where_each_shot_shows_one_person() -> None:
    first, second = people([view(AXES[0])]), people([view(toward(0, 1.1))])  # product 0.673
    assert same_people(first, second, SETTINGS) == [] == same_people(first, second, SETTINGS, strangers=0.1)
    assert same_people(first, second, replace(SETTINGS, alone=0.67)) == [(0, 0)]
    assert same_people(first, second, replace(SETTINGS, alone=0.1, least=0.68)) == []  # never less than with others
    with_another = people([view(AXES[1])], [view(toward(0, 1.1))])
    assert same_people(first, with_another, SETTINGS) == [(0, 1)]


def shot(clip: str, *views: PersonView, reason: str = "", sharpness: float = 99.0) -> Shown:
    """A clip of one person."""
    frames = tuple(FrameRecord(time_s=n, picture=f"{clip}{n}", looks="0", sharpness=sharpness) for n in range(3))
    records = {
        "people": PeopleRecord(tracks=(views,), seen=(1, 1, 1), likeness=(1.0,)),
        "frames": FramesRecord(width=64, height=64, frames=frames),
    }
    person = DecidedPerson(mention=0, track=0, text="man", faces=(), bodies=())
    return Shown(clip=clip, records=records, decision=Decision(reason=reason, people=() if reason else (person,)))


def pictures(found: dict[str, Decision], clip: str) -> list[tuple[str, float]]:
    return [(one.picture, one.likeness) for one in found[clip].people[0].further]


def test_views_are_good_faces_that_differ_from_the_own_ones() -> None:
    own = shot("a", view(toward(0)))
    again, other = view(toward(0, 0.31), frame=0), view(toward(0, 0.7), frame=1)
    small, faint = view(toward(0, 0.7), frame=2, side=8.0), view(toward(0, 0.7), frame=2, score=0.1)
    keep = PUPPETS.keep
    found = with_further_views([own, shot("b", again, other, small, faint)], SETTINGS, keep)
    assert pictures(found, "a") == [("b1", 0.9495)] and pictures(found, "b") == []
    blurred = with_further_views([own, shot("b", other, sharpness=5.0)], SETTINGS, replace(keep, sharpness=10.0))
    assert pictures(blurred, "a") == []
    for reason, count in (("nobody_named", 1), ("near_duplicate", 0), ("ambiguous_tracks", 0), ("rejected_in_review", 0)):
        found = with_further_views([own, shot("b", other, reason=reason)], SETTINGS, keep)
        assert len(pictures(found, "a")) == count and "b" not in found


def test_the_surest_views_are_taken_one_of_every_clip_first() -> None:
    far = [view(toward(0, 0.7), frame=n, score=score) for n, score in enumerate((0.9, 0.8, 0.7))]
    shots = [shot("a", view(toward(0))), shot("b", *far), shot("c", view(toward(0, 0.7, 2), frame=1, score=0.66))]
    found = with_further_views(shots[::-1], SETTINGS, PUPPETS.keep)
    assert [picture for picture, _ in pictures(found, "a")] == ["b0", "c1", "b1"]
    fewer = with_further_views(shots, replace(SETTINGS, views=1), PUPPETS.keep)
    assert [picture for picture, _ in pictures(fewer, "a")] == ["b0"]


@pytest.fixture(scope="module")
def paired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of one video with two shots of the same two people; the pairs are right."""
    folder = tmp_path_factory.mktemp("paired")
    clips: list[Clip] = []
    videos = write_two_shots(folder / "videos", [21], seed=200)  # two people who both stay
    run_collect(folder / "videos", folder / "out", on_clip=lambda clip, _: clips.append(clip))
    pairs = judge(clips, videos)
    assert pairs.samples == 2 and pairs.right == pairs.views > 0 and pairs.found == pairs.there == 4
    return folder / "out"


def test_training_draws_them_and_they_go_with_their_clip(paired: Path, tmp_path: Path) -> None:
    rows = {row["sample"]: row for row in read_manifest(paired)}
    taken = {name: clips_of_views(parse_json(row["record"], name)) for name, row in rows.items()}
    name, other = next((name, others[0]) for name, others in taken.items() if others)
    record = parse_json(rows[name]["record"], name)
    place, person = next((n, p) for n, p in enumerate(record["people"]) if p["further"])
    files = [view["file"] for view in (*person["faces"], *person["further"])]
    clips = {clip.name: clip for clip in find_training_clips(paired)[0]}
    entity = clips[name].people[place].face
    assert [picture.place["name"] for picture in entity.pictures] == files and clips[name].others == (other,)
    index = list(rows).index(name)
    drawn = {
        np.asarray(RelationalDataset(paired, seed=seed, grouped=1.0)[index].sample.references.subjects[place].face).tobytes()
        for seed in range(40)
    }
    assert {np.asarray(picture.open()).tobytes() for picture in entity.pictures} == drawn
    options = ["--references", "1", "--buckets", "16x16x1", "--workers", "1", "--split", "all"]
    assert main(["dataset", "prepare", str(paired), "--out", str(tmp_path / "cache"), *options]) == 0

    copy = tmp_path / "copy"  # shards and a manifest alone
    assert main(["dataset", "filter", str(paired), "--where", "people>=1", "--out", str(copy)]) == 0
    one = tmp_path / "one"  # has views of a clip that is no sample of it, and whose removal was killed after its note
    assert main(["dataset", "filter", str(copy), "--where", f"sample={name}", "--out", str(one)]) == 0
    write_removed(one, read_removed(one).with_ids([other]))
    assert check_dataset(one) == [f"{other} was removed and is still there; run the removal again"]
    assert main(["dataset", "filter", str(one), "--where", "people>=1", "--out", str(tmp_path / "rest")]) == 0
    assert main(["dataset", "split", str(one)]) in (0, 1)
    for dataset in (one, tmp_path / "rest"):
        assert other not in read_manifest(dataset)[0]["record"] and check_dataset(dataset) == []
    killed = Path(shutil.copytree(copy, tmp_path / "killed"))
    write_removed(killed, read_removed(killed).with_ids([other]))
    assert main(["dataset", "filter", str(killed), "--where", "people>=1", "--out", str(tmp_path / "left")]) == 0
    assert [row["sample"] for row in read_manifest(tmp_path / "left")] == [name]
    whole = Path(shutil.copytree(paired, tmp_path / "whole"))
    fewer = Path(shutil.copytree(paired, tmp_path / "fewer"))
    assert main(["dataset", "filter", str(fewer), "--set", "pairs.views=0"]) == 0
    for dataset, given in ((whole, ["--cache", str(tmp_path / "cache")]), (copy, [])):
        assert main(["dataset", "remove", str(dataset), "--clip", other, *given]) == 0
    for dataset in (whole, copy, fewer):
        left = {row["sample"]: row for row in read_manifest(dataset)}
        assert set(left) == ({name, other} if dataset == fewer else {name}) and check_dataset(dataset) == []
        assert not clips_of_views(parse_json(left[name]["record"], name))
        assert other not in left[name]["record"] and not any("further" in place["name"] for place in left[name]["files"])
    with pytest.raises(InputError, match="no clip of"):
        ClipDataset(tmp_path / "cache")  # both clips had pictures of the removed one
