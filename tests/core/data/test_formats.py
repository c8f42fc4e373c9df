"""Exports read back by the rules of those they are for, and imports of what others wrote, whole and broken."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_collection import COUNT, Collected

from lumosx_core.cli.main import main
from lumosx_core.data.dataset import RelationalDataset, check_dataset
from lumosx_core.data.exports import frames_at
from lumosx_core.data.import_opens2v import decode_runs
from lumosx_core.data.pack import read_about, read_manifest
from lumosx_core.data.prepare import content_digest
from lumosx_core.data.training_clips import Picture, TrainingClip, find_training_clips
from lumosx_core.errors import InputError
from lumosx_core.files.images import save_png
from lumosx_core.files.videos import read_video, write_video
from lumosx_core.sample_folder import read_sample


def export(dataset: Path, out: Path, kind: str) -> Path:
    assert main(["dataset", "export", str(dataset), "--as", kind, "--out", str(out)]) == 0
    return out


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def toml(path: Path) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(path.read_text("utf-8"))


def captions(dataset: Path) -> set[str]:
    return {row["caption"] for row in read_manifest(dataset)}


def test_frames_are_taken_by_time_and_4n_plus_1() -> None:
    frames = np.arange(40, dtype=np.uint8)[:, None, None, None].repeat(3, 3)
    for count, fps, expected in (
        (9, 8.0, [0, 0, 1, 2, 2, 2, 3, 4, 4, 4, 5, 6, 6, 6, 7, 8, 8]),
        (40, 16.0, list(range(37))),
        (40, 32.0, list(range(0, 34, 2))),
        (9, 24.0, [0, 2, 3, 4, 6]),
    ):
        assert frames_at(frames[:count], fps)[:, 0, 0, 0].tolist() == expected
    with pytest.raises(InputError, match="3 frames at 16 per second, at 16 fewer than 5"):
        frames_at(frames[:3], 16.0)


def test_musubi_tuner_reads_it(collected: Collected, tmp_path: Path) -> None:
    """docs/dataset_config.md there: paths against the working directory or the JSONL; "full" takes 4n + 1 frames up to
    max_frames; a cache directory is required with JSONL."""
    out = export(collected.out, tmp_path / "out", "musubi")
    config = toml(out / "dataset.toml")
    (one,) = config["datasets"]
    assert one["cache_directory"] and not Path(one["cache_directory"]).is_absolute() and one["frame_extraction"] == "full"
    assert config["general"]["resolution"] == [384, 320] and config["general"]["enable_bucket"] is True
    items = [json.loads(line) for line in (out / one["video_jsonl_file"]).read_text("utf-8").splitlines()]
    assert {item["caption"] for item in items} == captions(collected.out) and len(items) == COUNT
    for item in items:
        assert "\\" not in item["video_path"] and item.keys() == {"video_path", "caption"}
        frames, fps = read_video(out / item["video_path"])
        assert frames.shape == (17, 320, 384, 3) and fps == 16.0 and len(frames) <= one["max_frames"]


def test_diffusion_pipe_reads_it(collected: Collected, tmp_path: Path) -> None:
    """examples/dataset.toml there: a text of the same name beside each video, masks by the same name, white is trained on; a
    video goes to the longest frame bucket that it fills, and is dropped where that is the bucket of pictures."""
    out = export(collected.out, tmp_path / "out", "diffusion-pipe")
    config = toml(out / "dataset.toml")
    (one,) = config["directory"]
    videos = sorted((out / one["path"]).glob("*.mp4"))
    assert len(videos) == COUNT
    assert {path.with_suffix(".txt").read_text("utf-8") for path in videos} == captions(collected.out)
    assert 'mask_path = "masks"' in (out / "dataset.toml").read_text("utf-8")
    rows = {row["sample"]: row for row in read_manifest(collected.out)}
    owners = {item.row["sample"]: item.owners for item in RelationalDataset(collected.out)}
    for path in videos:
        frames = read_video(path)[0]
        assert max(bucket for bucket in config["frame_buckets"] if bucket <= len(frames)) == len(frames) > 1
        mask = np.asarray(Image.open(out / "masks" / f"{path.stem}.png").convert("RGB"))[..., 0]
        assert path.stem in rows and (mask == np.where((owners[path.stem] != 255).any(0), 255, 0)).all()


def test_diffsynth_studio_reads_it(collected: Collected, tmp_path: Path) -> None:
    """Its Wan examples: --dataset_base_path OUT --dataset_metadata_path OUT/metadata.csv --data_file_keys
    "video,vace_reference_image" --num_frames 17."""
    out = export(collected.out, tmp_path / "out", "diffsynth")
    with open(out / "metadata.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["prompt"] for row in rows} == captions(collected.out)
    for row in rows:
        assert row.keys() == {"video", "prompt", "vace_reference_image"}
        frames, fps = read_video(out / row["video"])
        assert len(frames) % 4 == 1 and fps == 16.0
        sheet = Image.open(out / row["vace_reference_image"])
        assert sheet.size == (384, 320) and 0.03 < (np.asarray(sheet) < 250).any(2).mean() < 0.9


def pictures(clip: TrainingClip) -> list[Picture]:
    things = [clip.background] if clip.background is not None else []
    things += [*clip.objects, *(thing for person in clip.people for thing in (person.face, *person.attributes))]
    return [p for thing in things for p in thing.pictures] + [p for one in clip.people for p in one.bodies] + [*clip.owners]


def test_info_json_there_and_back(collected: Collected, tmp_path: Path) -> None:
    first = export(collected.out, tmp_path / "first", "info")
    assert main(["dataset", "import", str(first), "--as", "info", "--out", str(tmp_path / "data")]) == 0
    second = export(tmp_path / "data", tmp_path / "second", "info")
    told = [
        {path.parent.name: json.loads(path.read_text("utf-8")) for path in folder.rglob("info.json")}
        for folder in (first, second)
    ]
    by_caption = [{content["caption"]: folder for folder, content in contents.items()} for contents in told]
    assert by_caption[0].keys() == by_caption[1].keys() == captions(collected.out)
    for caption, folder in by_caption[0].items():
        assert files_of(first / folder) == files_of(second / by_caption[1][caption])
    content = next(iter(told[0].values()))
    assert content["selected_frames"] == [0, 4, 8]
    person = content["word_tags_path"]["person"][0]
    assert len(person["subject"]) == 2 and person["subject"]["face"].keys() == {"0", "4", "8"}
    old, new = ({row["caption"]: row for row in read_manifest(folder)} for folder in (collected.out, tmp_path / "data"))
    for caption, row in old.items():
        assert [(r["phrase"], r["person"]) for r in new[caption]["relations"]] == [
            (r["phrase"], r["person"]) for r in row["relations"]
        ]
        assert new[caption]["mentions"] == row["mentions"] and new[caption]["frames"] == row["frames"]
    assert check_dataset(tmp_path / "data") == [] and read_about(tmp_path / "data")["origin"] == "imported (info)"
    there, imported = (find_training_clips(folder) for folder in (first, tmp_path / "data"))
    assert there[1] == {} and len(there[0]) == COUNT
    for clip in there[0]:  # a training reads the records as they lie there, as it reads what was imported of them
        (other,) = (one for one in imported[0] if one.caption == clip.caption)
        assert clip.phrases() == [replace(phrase, occurrence=None) for phrase in other.phrases()]
        assert clip.selected_s == other.selected_s and len(clip.owners) == 3
        for ours, theirs in zip(pictures(clip), pictures(other), strict=True):
            assert ours.open().tobytes() == theirs.open().tobytes()
        assert content_digest(clip) != content_digest(replace(clip, folder=clip.owners[0].path.parent / "masks"))
    broken = there[0][0].owners[0].path
    told_by = json.loads(broken.read_text("utf-8"))
    told_by["word_tags_path"]["person"][0]["subject"]["face"] = {}
    broken.write_text(json.dumps(told_by), "utf-8")
    assert "has no face with a mask in a selected frame" in find_training_clips(first)[1][broken.parent.name]
    items = [{i.row["caption"]: i.owners for i in RelationalDataset(folder)} for folder in (collected.out, tmp_path / "data")]
    assert all((items[0][caption] == items[1][caption]).all() for caption in old)


def test_sample_folders_there_and_back(collected: Collected, tmp_path: Path) -> None:
    first = export(collected.out, tmp_path / "first", "samples")
    assert main(["dataset", "import", str(first), "--as", "samples", "--out", str(tmp_path / "data")]) == 0
    second = export(tmp_path / "data", tmp_path / "second", "samples")

    def told(folder: Path) -> dict[str, list[Any]]:
        samples = {path.parent: read_sample(path.parent) for path in folder.rglob("caption.txt")}
        return {
            sample.prompt: [(path / "video.mp4").read_bytes()]
            + [(r.kind, r.subject, r.phrase, r.occurrence, r.image.tobytes()) for r in sample.references.references()]
            for path, sample in samples.items()
        }

    assert told(first) == told(second) and told(first).keys() == captions(collected.out)
    item = RelationalDataset(tmp_path / "data", grouped=1.0)[0]
    assert item.owners.shape == (0, 320, 384) and item.frames().shape == (9, 320, 384, 3) and item.sample.references.subjects
    clips, faults = find_training_clips(tmp_path / "data")
    assert len(clips) == COUNT and not faults
    assert main(["dataset", "export", str(tmp_path / "data"), "--as", "info", "--out", str(tmp_path / "x")]) == 2  # no masks
    assert main(["dataset", "export", str(tmp_path / "data"), "--as", "musubi", "--out", str(tmp_path / "m")]) == 0


def runs(mask: np.ndarray) -> dict[str, Any]:
    """COCO's compressed runs of a mask bool [H, W]."""
    flat = np.concatenate([[False], mask.T.ravel(), [not mask.T.ravel()[-1]]])
    ends = np.flatnonzero(np.diff(flat.astype(int)) != 0)
    lengths = np.diff(np.concatenate([[0], ends])).tolist()
    if sum(lengths) < mask.size:
        lengths.append(mask.size - sum(lengths))
    text = ""
    for number, length in enumerate(lengths):
        value = length - (lengths[number - 2] if number > 2 else 0)
        while True:
            group = value & 31
            value >>= 5
            more = value != (-1 if group & 16 else 0)
            text += chr((group | 32 if more else group) + 48)
            if not more:
                break
    return {"size": list(mask.shape), "counts": text, "score": [0.9]}


def test_runs_of_masks() -> None:
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (3, 5), (40, 70), (200, 300)):
        for share in (0.02, 0.5, 1.0):
            mask = rng.random(shape) < share
            mask[: shape[0] // 2] &= rng.random() < 0.5
            assert (decode_runs(runs(mask), "it") == mask).all()
    # A mask of the published example: the lace top at the left border, whose box is 1.2, 570.5, 163.0, 717.7.
    text = (
        "[c0U3[c0000000000000000O10000000000O1000000000000000000000000000000O10000000000O100000000O10000000000000000O1000000000000"
        "00O1000000O100000000O100000000O10000O1000000O1000000000000O10000O10000O1000000O100O10000O10000O100O100O1O100O1O1O1O1N2M3F"
        ":N200O1002N3M3M2N2N2N1O2N1O1O2N2N2N2N2N2N1O2N2N2N2N2N2N4L4L3M4L4L6J3M6J7I7I6J4L<D7I>BZSbh0"
    )
    mask = decode_runs({"size": [720, 1280], "counts": text}, "it")
    rows, columns = np.nonzero(mask)
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (0, 575, 160, 719)
    for broken in (
        {"size": [4, 4], "counts": "?"},
        {"size": [4, 4], "counts": "@P"},
        {"size": [4]},
        {"size": [4, 4], "counts": [16]},
    ):
        with pytest.raises(InputError, match="it "):
            decode_runs(broken, "it")


def opens2v(info: Path, folder: Path) -> dict[str, Any]:
    """The clip of an info.json in OpenS2V's layout, without its relations, its classes in another order."""
    content = json.loads((info / "info.json").read_text("utf-8"))
    shutil.copy(info / "video.mp4", folder / f"{info.name}.mp4")
    found: list[tuple[str, np.ndarray]] = []

    def mask_of(names: list[str]) -> np.ndarray:
        return np.asarray(Image.open(info / names[0]).convert("L")) > 127

    for person in content["word_tags_path"]["person"]:
        name = next(iter(person["subject"]))
        body = mask_of(person["subject"][name])
        left, top, right, bottom = (round(v) for v in person["subject"]["face"]["0"])
        head = np.zeros_like(body)
        head[top:bottom, left:right] = body[top:bottom, left:right]
        found += [(name, body), ("person", body), ("human head", head)]
        found += [(phrase, mask_of(names)) for thing in person["attributes"] for phrase, names in thing.items()]
    found.sort(key=lambda item: (item[0][::-1], item[1].sum()))
    height, width = found[0][1].shape
    boxes = []
    for name, mask in found:
        rows, columns = np.nonzero(mask)
        box = [float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)]
        boxes.append({"class_name": name, "bbox": box, "gme_score": 0.4})
    subjects = sorted({next(iter(person["subject"])) for person in content["word_tags_path"]["person"]})
    return {
        "metadata": {
            "cut": [0, 9],
            "crop": [0, width, 0, height],
            "fps": 8.0,
            "path": f"{info.name}.mp4",
            "cap": [content["caption"]],
        },
        "word_tags": {"subject": subjects, "object": [], "background": [], "pre_define": ["person", "human head"]},
        "annotation": {
            "ann_frame_data": {"ann_frame_idx": 0, "annotations": boxes, "box_format": "xyxy"},
            "mask_annotation": {"0": {str(n): runs(mask) for n, (_, mask) in enumerate(found, 1)}},
        },
    }


def test_opens2v_gets_its_relations(collected: Collected, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    info = export(collected.out, tmp_path / "info", "info")
    folder = tmp_path / "opens2v"
    folder.mkdir()
    content = {path.name: opens2v(path, folder) for path in sorted(info.iterdir())}
    broken = json.loads(json.dumps(next(iter(content.values()))))
    broken["metadata"]["path"] = "none.mp4"
    (folder / "part.json").write_text(json.dumps({**content, "broken": broken, "empty": {}}), "utf-8")
    assert main(["dataset", "import", str(folder), "--as", "opens2v", "--out", str(tmp_path / "data")]) == 1
    told = capsys.readouterr().out
    assert "left out: broken: the video 'none.mp4' is not below" in told and "left out: empty: it has no metadata" in told
    old = {row["caption"]: row for row in read_manifest(collected.out)}
    rows = read_manifest(tmp_path / "data")
    assert len(rows) == COUNT and check_dataset(tmp_path / "data") == []
    for row in rows:
        truth = {(r["phrase"], r["person"]) for r in old[row["caption"]]["relations"] if r["kind"] == "attribute"}
        got = {(r["phrase"], r["person"]) for r in row["relations"] if r["kind"] == "attribute"}
        assert row["mentions"] == old[row["caption"]]["mentions"] and got <= truth and len(got) >= 0.6 * len(truth)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("video"), "has no field video with a text"),
        (lambda c: c.update(video="none.mp4"), "names the video 'none.mp4', which is not beside it"),
        (lambda c: c.pop("caption"), "has no caption, and no text lies beside"),
        (lambda c: c.update(selected_frames=[0, 0]), "expected different numbers"),
        (lambda c: c.update(selected_frames=[0, 99]), "frame 99 is selected, but the video has 9 frames"),
        (lambda c: c.pop("word_tags_path"), "has no field word_tags_path with an object"),
        (lambda c: c["word_tags_path"]["person"].append({}), "has no field subject with an object"),
        (
            lambda c: c["word_tags_path"]["person"][0]["subject"]["face"].update({"0": [5, 5, 5, 9]}),
            "expected [x0, y0, x1, y1]",
        ),
        (lambda c: c["word_tags_path"]["other_subjects"].append({"a": [], "b": []}), "expected one phrase with its files"),
        (lambda c: c["word_tags_path"]["other_subjects"].append({"a": ["a.png"]}), "does not end in _frame<N>.png"),
        (lambda c: c["word_tags_path"]["other_subjects"].append({"a": ["a_frame0.png"]}), "which is not there"),
        (
            lambda c: c["word_tags_path"]["other_subjects"].append({"zebra": ["masks/x_frame0.png"]}),
            "'zebra' is not in the caption",
        ),
        (lambda c: c["word_tags_path"]["person"][0]["attributes"].append({"a": ["masks/y_frame0.png"]}), "is 4x4, the video"),
    ],
)
def test_broken_info_json(collected: Collected, tmp_path: Path, capsys, change, words: str) -> None:
    info = next(export(collected.out, tmp_path / "info", "info").iterdir())
    save_png(Image.new("L", (384, 320), 255), info / "masks" / "x_frame0.png")
    save_png(Image.new("L", (4, 4), 255), info / "masks" / "y_frame0.png")
    content = json.loads((info / "info.json").read_text("utf-8"))
    change(content)
    (info / "info.json").write_text(json.dumps(content), "utf-8")
    capsys.readouterr()
    assert main(["dataset", "import", str(info), "--as", "info", "--out", str(tmp_path / "data")]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "data").exists()


def test_what_is_refused(collected: Collected, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "x.txt").write_text("mine", "utf-8")
    (tmp_path / "some.json").write_text("[1]", "utf-8")
    write_video(tmp_path / "lone" / "video.mp4", np.zeros((5, 32, 32, 3), np.uint8), 16)
    (tmp_path / "lone" / "caption.txt").write_text("a man", "utf-8")
    data, new = str(collected.out), str(tmp_path / "new")
    for arguments, words in (
        (["export", data, "--as", "musubi", "--out", str(full)], "would be overwritten"),
        (["export", str(tmp_path), "--as", "musubi", "--out", new], "is no dataset"),
        (["import", str(tmp_path / "none"), "--as", "info", "--out", new], "there is no file or folder"),
        (["import", str(full), "--as", "info", "--out", new], "there is no info.json below"),
        (["import", str(full), "--as", "opens2v", "--out", new], "has clips with annotations"),
        (["import", str(tmp_path / "some.json"), "--as", "opens2v", "--out", new], "has clips with annotations"),
        (["import", str(full), "--as", "samples", "--out", new], "holds nothing to train on"),
        (["import", str(full), "--as", "samples", "--out", data], "holds a dataset already"),
        (["import", str(full), "--as", "info", "--out", new, "--text-len", "1"], "from 8 to 8192"),
    ):
        assert main(["dataset", *arguments]) == 2 and words in capsys.readouterr().err, arguments
    assert (full / "x.txt").read_text("utf-8") == "mine" and not Path(new).exists()
    assert main(["dataset", "import", str(tmp_path / "lone"), "--as", "samples", "--out", new]) == 2
    assert "it has no references" in capsys.readouterr().err
