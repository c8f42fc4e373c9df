"""From clips to batches: what is counted, what is left out, what is drawn, and that a model trains on it."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_collection import COUNT, Collected

from lumosx_core.cli.main import main
from lumosx_core.data.augment import NONE, Augmentation, augmented
from lumosx_core.data.buckets import bucket_of, default_buckets, fit_frames, parse_buckets
from lumosx_core.data.cache_size import check_cache_room
from lumosx_core.data.check import check_clips
from lumosx_core.data.clip_cache import FORMAT, OpenClip, clip_path, read_settings, write_list
from lumosx_core.data.clip_dataset import ClipDataset, open_training_data
from lumosx_core.data.latent_shards import NOBODY
from lumosx_core.data.pack import MANIFEST, parquet
from lumosx_core.data.prepare import PrepareJob, PrepareReport, model_settings, prepare_clip, prepare_clips
from lumosx_core.data.training_clips import find_training_clips
from lumosx_core.errors import InputError
from lumosx_core.files.json import write_json
from lumosx_core.files.videos import write_video
from lumosx_core.model.config import PRESETS
from lumosx_core.model.memory import stored_sizes
from lumosx_core.model.video_size import VideoSize
from lumosx_core.references import Attribute, ReferenceSet, Sample, Subject
from lumosx_core.sample_folder import write_sample
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.training.config import TrainingConfig
from lumosx_core.training.train import train

BUCKETS = parse_buckets(["48x48x5", "48x48x1"])  # small, since the VAE takes the time
RANGES = Augmentation()


def prepare(data: Path, cache: Path, **changes: object) -> PrepareReport:
    clips, faults = find_training_clips(data)
    settings = model_settings(NANO_FOLDER, text_len=80, fps=8.0, variants=2, seed=0, ranges=RANGES)
    return prepare_clips(clips, faults, cache, NANO_FOLDER, replace(settings, **changes), BUCKETS, RANGES, workers=1)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cache(collected: Collected, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    report = prepare(collected.out, folder)
    assert report.prepared == COUNT and not report.left_out
    return folder


def test_buckets_are_of_one_area_and_the_nearest_longest_one_is_taken() -> None:
    size = VideoSize(width=832, height=480, frames=81)
    buckets = default_buckets(size)
    assert size in buckets and VideoSize(width=480, height=832, frames=81) in buckets
    assert {bucket.frames for bucket in buckets} == {81, 41, 21, 9, 5, 1}
    assert all(0.88 <= b.width * b.height / (832 * 480) <= 1.12 for b in buckets)
    assert bucket_of(1920, 1080, 100, buckets) == VideoSize(width=832, height=480, frames=81)
    assert bucket_of(1080, 1920, 40, buckets) == VideoSize(width=480, height=832, frames=21)
    assert bucket_of(640, 640, 3, buckets).frames == 1  # type: ignore[union-attr]
    assert bucket_of(640, 640, 3, parse_buckets(["64x64x5"])) is None
    for text in ("64x64", "64x64x5x1", "ax64x5", "-64x64x5"):
        with pytest.raises(InputError, match="no bucket"):
            parse_buckets([text])
    with pytest.raises(InputError, match="multiple of 16"):
        parse_buckets(["60x64x5"])


def test_frames_are_scaled_to_cover_and_cut_around_the_middle() -> None:
    frames = np.zeros((2, 40, 120, 3), np.uint8)
    frames[:, :, 40:80] = 200
    cut = fit_frames(frames, VideoSize(width=16, height=16, frames=1))
    assert cut.shape == (2, 16, 16, 3) and (cut[:, :, 2:-2] > 190).all()
    blocks = np.random.default_rng(0).integers(0, 255, (1, 16, 16, 3), dtype=np.uint8)
    assert (fit_frames(blocks.repeat(4, 1).repeat(4, 2), VideoSize(width=16, height=16, frames=1)) == blocks).all()


def test_variants_are_within_their_ranges_and_repeat() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(60, 200, (200, 150, 3), dtype=np.uint8))
    assert np.array_equal(augmented(picture, np.random.default_rng(1), NONE), picture)
    first, second = (augmented(picture, np.random.default_rng(5), RANGES) for _ in range(2))
    assert np.array_equal(first, second) and not np.array_equal(first.resize((150, 200)), picture)
    sizes, white, scenes = [], 0, 0
    for seed in range(40):
        drawn = augmented(picture, np.random.default_rng(seed), RANGES)
        sizes.append(max(drawn.size))
        white += int((np.asarray(drawn)[0, 0] > 245).all())
        scene = augmented(picture, np.random.default_rng(seed), RANGES, scene=True)
        scenes += int((np.asarray(scene)[0, 0] > 245).all())
        assert scene.width >= 100 and scene.height >= 134
    assert min(sizes) >= 112 and white > 20 and scenes == 0
    cut_out = picture.convert("RGBA")
    cut_out.putalpha(Image.new("L", picture.size, 0))
    for seed in range(20):  # another light falls on the thing, not on the paper
        assert (np.asarray(augmented(cut_out, np.random.default_rng(seed), RANGES)) >= 254).all()
    # What fills its picture loses nothing when it is turned and sheared: as many dark pixels as before, within the soft edge.
    turning = replace(NONE, turn=20.0, shear=0.08)
    for size in ((60, 90), (91, 40)):
        for seed in range(10):
            turned = np.asarray(augmented(Image.new("RGB", size, (0, 0, 0)), np.random.default_rng(seed), turning), float)
            assert abs((255 - turned).sum() / (255 * 3) / (size[0] * size[1]) - 1) < 0.02
            assert turned.shape[0] >= size[1] and turned.shape[1] >= size[0] - 1
    with pytest.raises(InputError, match="augmentation: turn is 200"):
        Augmentation(turn=200)


def test_pictures_are_varied_as_the_format_of_the_cache_says() -> None:
    """Fails when the same draws give other pictures: count clip_cache.FORMAT up then, and put the new means here."""
    y, x = np.mgrid[0:96, 0:64]
    picture = Image.fromarray(np.stack([x * 4, y * 2, x + y], -1).astype(np.uint8))
    means = []
    for seed in range(3):
        for scene in (False, True):
            drawn = augmented(picture, np.random.default_rng(seed), RANGES, scene=scene)
            means.append((*drawn.size, *np.asarray(drawn, float).mean((0, 1))))
    assert FORMAT == 3
    expected = (
        (78, 98, 172.0, 148.6, 140.2), (56, 84, 120.7, 82.6, 69.0), (75, 94, 192.5, 151.9, 148.1),
        (54, 81, 154.8, 89.3, 83.2), (66, 84, 158.3, 156.3, 143.2), (48, 73, 102.6, 99.4, 78.7),
    )  # fmt: skip
    assert np.abs(np.array(means) - np.array(expected)).max() < 0.5


def sample_folder(folder: Path, frames: int = 9, fps: float = 8.0, prompt: str = "A man with a hat.") -> None:
    picture = Image.new("RGB", (40, 40), (200, 40, 40))
    subject = Subject(name="man", face=picture, more_views=(picture,), attributes=(Attribute(phrase="hat", image=picture),))
    write_sample(folder, Sample(prompt=prompt, references=ReferenceSet(subjects=(subject,))))
    write_video(folder / "video.mp4", np.full((frames, 80, 96, 3), 90, np.uint8), fps)


def test_every_kind_of_bad_clip_is_told(tmp_path: Path) -> None:
    """Seven that cannot be used, and one that can."""
    sample_folder(tmp_path / "good")
    sample_folder(tmp_path / "words", prompt="A man and nothing else.")
    sample_folder(tmp_path / "cut")
    content = (tmp_path / "cut" / "video.mp4").read_bytes()
    (tmp_path / "cut" / "video.mp4").write_bytes(content[: len(content) // 3])
    sample_folder(tmp_path / "none")
    (tmp_path / "none" / "video.mp4").unlink()
    sample_folder(tmp_path / "text")
    (tmp_path / "text" / "video.mp4").write_text("no video")
    sample_folder(tmp_path / "picture")
    (tmp_path / "picture" / "subjects" / "1" / "hat.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    sample_folder(tmp_path / "caption")
    (tmp_path / "caption" / "caption.txt").write_text("")
    sample_folder(tmp_path / "short", frames=3)
    clips, faults = find_training_clips(tmp_path)
    assert len(clips) + len(faults) == 8
    assert find_training_clips(tmp_path, "train") == (clips, faults)
    for part in ("val", "test"):
        with pytest.raises(InputError, match=f"sample folders have no part {part}; leave --split out"):
            find_training_clips(tmp_path, part)  # type: ignore[arg-type]
    long = parse_buckets(["96x80x9"])
    report = check_clips(clips, faults, NANO_FOLDER, long, text_len=80, fps=8.0)
    assert [item.clip.name for item in report.usable] == ["good"] and report.share_left_out == 7 / 8
    words = {
        "words": "'hat'", "cut": "video.mp4", "none": "no video.mp4", "text": "video.mp4", "picture": "hat.png",
        "caption": "caption.txt holds no prompt", "short": "3 frames at 8 per second, fewer than every bucket",
    }  # fmt: skip
    assert report.left_out.keys() == words.keys()
    for name, part in words.items():
        assert part in report.left_out[name], report.left_out[name]
    assert "96x80x9" in report.table() and "left out: short" in report.table()


@pytest.mark.parametrize(("fps", "frames", "wanted"), [(12, 12, 8), (23.976, 24, 8), (30, 30, 8), (60, 60, 8), (8, 9, 9)])
def test_frames_are_counted_at_the_rate_of_training(tmp_path: Path, fps: float, frames: int, wanted: int) -> None:
    from lumosx_core.data.prepare import usable_frames

    sample_folder(tmp_path / "clip", frames=frames, fps=fps)
    (clip,), _ = find_training_clips(tmp_path)
    assert usable_frames(clip, 8.0) == (96, 80, wanted)


def test_an_epoch_has_every_clip_once_and_batches_are_of_seed_and_step(cache: Path) -> None:
    data = ClipDataset(cache)
    for size in (1, 2, 8):
        plan = data.plan(size, 0, 0)
        assert sorted(index for names, _ in plan for index in names) == list(range(COUNT))
    first, again = ClipDataset(cache).batch(2, 5, 7), ClipDataset(cache).batch(2, 5, 7)
    assert first.samples == again.samples and torch.equal(first.video, again.video)
    assert torch.equal(first.references, again.references) and torch.equal(first.levels, again.levels)
    seen = [name for step in range(len(data.plan(1, 3, 0))) for name in data.batch(1, 3, step).samples]
    assert sorted(seen) == sorted(clip.name for clip in data.clips)
    many = [grouped for epoch in range(60) for _, grouped in data.plan(1, 1, epoch)]
    assert 0.6 < np.mean(many) < 0.8


def test_grouped_people_have_faces_and_whole_ones_are_objects(cache: Path) -> None:
    grouped, whole = ClipDataset(cache, grouped=1.0), ClipDataset(cache, grouped=0.0)
    for step in range(COUNT):
        batch = grouped.batch(1, 0, step)
        opened = OpenClip(cache, next(c.key for c in grouped.clips if c.name == batch.samples[0]))
        clip = opened.clip
        assert batch.layout.kinds.count("face") == len(clip.people)
        assert batch.layout.kinds.count("attribute") == sum(len(person.attributes) for person in clip.people)
        assert batch.references.shape[1] == len(batch.layout.kinds) and batch.video.shape[2:] == (2, 6, 6)
        shown = set(batch.owners.unique().tolist()) - {NOBODY}
        assert {batch.layout.kinds[number] for number in shown} == {"face"}
        rows = batch.levels[0][[n for n, kind in enumerate(batch.layout.kinds) if kind == "face"]]
        assert (rows.amax(1) > 0).all()
        words = batch.context[0].abs().sum(1)
        assert int((words > 0).sum()) == len(opened.tensor("context"))
        alone = whole.batch(1, 0, step)
        assert "face" not in alone.layout.kinds
        people = next(len(OpenClip(cache, c.key).clip.people) for c in whole.clips if c.name == alone.samples[0])
        assert alone.layout.kinds.count("object") >= people
    assert grouped.largest_layout().seq_len == max(grouped.batch(1, 0, step).layout.seq_len for step in range(COUNT))
    blank = grouped.batch(1, 0, 0, reference_dropout=1.0)
    assert not blank.references.any() and (blank.owners == NOBODY).all() and int((blank.context[0].abs().sum(1) > 0).sum()) == 1
    assert grouped.batch(1, 0, 0, frames=(1,)).video.shape[2] == 1


def test_preparing_again_does_nothing_and_holes_are_seen(collected: Collected, cache: Path, tmp_path: Path) -> None:
    assert prepare(collected.out, cache).prepared == 0
    with pytest.raises(InputError, match="prepared with other models or settings"):
        prepare(collected.out, cache, fps=16.0)
    copy = tmp_path / "copy"
    shutil.copytree(cache, copy)
    data = ClipDataset(copy)
    clip_path(copy, data.clips[1].key).unlink()
    with pytest.raises(InputError, match=f"lacks 1 prepared clips, such as '{data.clips[1].name}'"):
        ClipDataset(copy)
    assert prepare(collected.out, copy).prepared == 1 and len(ClipDataset(copy)) == COUNT
    assert clip_path(copy, data.clips[1].key).read_bytes() == clip_path(cache, data.clips[1].key).read_bytes()
    (copy / "clips.jsonl").unlink()
    with pytest.raises(InputError, match="is not finished"):
        open_training_data(copy)
    with pytest.raises(InputError, match="no cache of prepared clips"):
        ClipDataset(tmp_path)
    about = copy / "cache.json"
    about.write_text(about.read_text("utf-8").replace(f'"format": {FORMAT}', f'"format": {FORMAT - 1}'), "utf-8")
    for use in (lambda: open_training_data(copy), lambda: prepare(collected.out, copy)):  # pictures were varied in another way
        with pytest.raises(InputError, match=f"is of format {FORMAT - 1}, .* prepare the clips again into another folder"):
            use()


def test_pictures_encoded_while_training_are_those_encoded_before(collected: Collected, cache: Path, tmp_path: Path) -> None:
    """To the bit, and so are the batches; of one clip, a picture of each kind."""
    clip = next(one for one in find_training_clips(collected.out)[0] if one.background is not None)
    settings = replace(read_settings(cache), variants=0)
    job = PrepareJob(clip=clip, cache=tmp_path, model=NANO_FOLDER, settings=settings, buckets=BUCKETS, augmentation=RANGES)
    write_list(tmp_path, [prepare_clip(job)])
    write_json(tmp_path / "cache.json", asdict(settings), "the cache's description")
    before, now = ClipDataset(cache), ClipDataset(tmp_path, model=NANO_FOLDER)
    before.clips = [one for one in before.clips if one.name == clip.name]
    stored, opened, encoder = OpenClip(cache, before.clips[0].key), OpenClip(tmp_path, now.clips[0].key), now.encoder
    assert stored.clip == opened.clip and stored.clip.background is not None and encoder is not None
    person = stored.clip.people[0]
    for name in (person.face.pictures[0], person.attributes[0].pictures[0], person.bodies[0], *stored.clip.background.pictures):
        variants = [encoder.variant(opened, name, number) for number in range(2)]
        assert all(torch.equal(variants[number], stored.variant(name, number)) for number in range(2)), name
        assert not torch.equal(*variants)

    class OfTwo:
        """Only the two variants that the other cache holds."""

        def variant(self, opened: OpenClip, name: str, number: int) -> torch.Tensor:
            return encoder.variant(opened, name, number % 2)

    now.encoder = OfTwo()  # type: ignore[assignment]
    one, other = before.batch(1, 0, 0), now.batch(1, 0, 0)
    assert one.layout == other.layout and torch.equal(one.references, other.references) and one.references.any()
    assert torch.equal(one.video, other.video) and torch.equal(one.context, other.context)
    with pytest.raises(InputError, match="are encoded while training; name the model folder"):
        open_training_data(tmp_path)
    write_json(tmp_path / "cache.json", asdict(replace(settings, vae="0" * 64)), "the cache's description")
    with pytest.raises(InputError, match="is not the VAE that the clips were prepared with; name that model folder"):
        open_training_data(tmp_path, model=NANO_FOLDER)


def test_a_model_trains_on_it_and_goes_on(cache: Path, tmp_path: Path) -> None:
    model = replace(PRESETS["nano"], dim=96, num_layers=1, num_heads=4, ffn_dim=96)
    config = TrainingConfig(steps=4, batch=2, learning_rate=1e-3, warmup_steps=1, save_every=2)
    losses: list[float] = []
    data = ClipDataset(cache)
    whole = train(config, model, data, tmp_path / "a", on_step=lambda _, figures: losses.append(figures["loss"]))
    assert len(losses) == 4 and np.isfinite(losses).all()

    class Stop(Exception):  # noqa: N818
        pass

    def stop(step: int, _: object) -> None:
        if step == 2:
            raise Stop

    with pytest.raises(Stop):
        train(config, model, data, tmp_path / "b", on_step=stop)
    again = train(config, model, data, tmp_path / "b")
    for one, other in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(InputError, match="prepare the clips for this model"):
        train(config, PRESETS["debug"], data, tmp_path / "c")


def test_only_the_part_for_training_is_prepared_unless_another_is_named(
    collected: Collected, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(collected.out, out)
    table = parquet().read_table(out / MANIFEST)
    parts = dict(zip(table.column("sample").to_pylist(), ["test", "train", "train"], strict=True))
    column = table.schema.get_field_index("split")
    parquet().write_table(table.set_column(column, "split", [list(parts.values())]), out / MANIFEST)
    options = ["--references", "1", "--buckets", "16x16x1", "--workers", "1"]
    for split, given in (("train", []), ("test", ["--split", "test"])):
        cache = tmp_path / split
        assert main(["dataset", "prepare", str(out), "--out", str(cache), *options, *given]) == 0
        assert [clip.name for clip in ClipDataset(cache).clips] == [name for name in parts if parts[name] == split]
    capsys.readouterr()
    assert main(["train", "prepare", str(out), "--out", str(tmp_path / "val"), *options, "--split", "val"]) == 2
    told = capsys.readouterr().err
    assert f"none of the {COUNT} samples of {out} is in its part val" in told and "--split all" in told


def test_commands(
    collected: Collected, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = tmp_path / "sheet.png"
    assert main(["train", "check", str(collected.out), "--buckets", "96x80x9", "--sheet", str(sheet)]) == 0
    assert f"96x80x9        {COUNT:>6}" in capsys.readouterr().out and Image.open(sheet).width == 1200
    sample_folder(tmp_path / "data" / "a")
    sample_folder(tmp_path / "data" / "b", prompt="Nobody.")
    arguments = [
        "train",
        "prepare",
        str(tmp_path / "data"),
        "--references",
        "1",
        "--out",
        str(tmp_path / "cache"),
        "--buckets",
        "48x48x5",
    ]
    assert main([*arguments, "--workers", "1"]) == 1
    told = capsys.readouterr().out
    assert "left out: b: " in told and "50.0 % of the clips are left out, at most 5 % may be" in told
    assert main([*arguments, "--workers", "1", "--left-out", "50"]) == 0
    clips, sizes = find_training_clips(tmp_path / "data")[0], stored_sizes(NANO_FOLDER / "transformer.safetensors")
    told, free = check_cache_room(clips, tmp_path / "new", sizes, parse_buckets(["48x48x5"]), 8.0, 1)
    (written,) = (tmp_path / "cache").glob("??/*.safetensors")  # of two clips
    assert 0.7 < told / (2 * written.stat().st_size) < 1.5 and free is not None
    usage = shutil.disk_usage(tmp_path)._replace(free=told - 1)
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: usage)
        with pytest.raises(InputError, match="a cache of 2 clips takes about .* GiB; .* are free where .*new is; free some"):
            check_cache_room(clips, tmp_path / "new", sizes, parse_buckets(["48x48x5"]), 8.0, 1)
        check_cache_room(clips, tmp_path / "cache", sizes, parse_buckets(["48x48x5"]), 8.0, 1)  # half of it is there
    assert main(["train", "check", str(tmp_path / "empty")]) == 2 and "there is no folder" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["train", "check", str(tmp_path / "empty")]) == 2 and "nothing to train on" in capsys.readouterr().err
