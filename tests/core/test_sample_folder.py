"""Sample folders in and out, and what of them is refused."""

import json
import logging
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.files.images import open_image
from lumosx_core.files.names import escape_phrase, free_stem, natural_order, unescape_phrase
from lumosx_core.references import (
    Attribute,
    ReferenceSet,
    Sample,
    SceneReference,
    Subject,
)
from lumosx_core.sample_folder import read_sample, write_sample

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def picture(colour: tuple[int, ...] = RED, size: tuple[int, int] = (3, 2)) -> Image.Image:
    return Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour)


def put(path: Path, image: Image.Image | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or picture()).save(path)
    return path


def sample_folder(root: Path, *names: str, caption: str | None = "clip_7;a man in a hat") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    if caption is not None:
        (root / "caption.txt").write_text(caption, encoding="utf-8")
    for name in names:
        put(root / name)
    return root


def phrases(sample: Sample) -> list[tuple[str, int | None, str]]:
    return [(ref.kind, ref.subject, ref.phrase) for ref in sample.references.references()]


def test_model_order_and_order_inside_a_folder(tmp_path: Path) -> None:
    sample = read_sample(
        sample_folder(
            tmp_path,
            "subjects/10/face_boy.png",
            "subjects/2/scarf 10.jpg",
            "subjects/2/scarf 9.webp",
            "subjects/2/face_man.jpeg",
            "subjects/2/Hat.png",
            "objects/cup.png",
            "objects/Ball.png",
            "background/park.png",
        )
    )
    assert sample.sample_id == "clip_7" and sample.prompt == "a man in a hat"
    assert phrases(sample) == [
        ("background", None, "park"),
        ("object", None, "Ball"),
        ("object", None, "cup"),
        ("face", 0, "man"),
        ("attribute", 0, "Hat"),
        ("attribute", 0, "scarf 9"),
        ("attribute", 0, "scarf 10"),
        ("face", 1, "boy"),
    ]


@pytest.mark.parametrize(
    ("caption", "sample_id", "prompt"),
    [
        ("a man", None, "a man"),
        ("id-1;a man; a hat", "id-1", "a man; a hat"),
        ("a man; a hat", None, "a man; a hat"),
        (";a;b", None, "a;b"),
        ("\u4e00\u4e2a\u7537\u4eba;\u4e00\u4e2a\u5973\u4eba", None, "\u4e00\u4e2a\u7537\u4eba;\u4e00\u4e2a\u5973\u4eba"),
        ("Anna&#39;s hat", None, "Anna&#39;s hat"),
        ("Cinematic; a man", None, "Cinematic; a man"),
        ("clip_7.a-b; a man", "clip_7.a-b", "a man"),
        ("\ufeff7;a man\r\n", "7", "a man"),
        ("x;\na man\n", "x", "a man"),
    ],
)
def test_caption_forms(tmp_path: Path, caption: str, sample_id: str | None, prompt: str) -> None:
    (tmp_path / "caption.txt").write_bytes(caption.encode())
    sample = read_sample(tmp_path)
    assert (sample.sample_id, sample.prompt) == (sample_id, prompt)
    assert sample.references.references() == ()


def test_hidden_and_unknown_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = sample_folder(tmp_path, "subjects/1/face_man.png", "subjects/1/.hidden.png", "__MACOSX/x.png")
    (folder / "extra").mkdir()
    for name in ("subjects/.DS_Store", "subjects/1/Thumbs.db", "subjects/1/notes.txt", "extra/x.txt"):
        (folder / name).write_text("x")
    with caplog.at_level(logging.WARNING):
        assert phrases(read_sample(folder)) == [("face", 0, "man")]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1 and "notes.txt is no picture" in told[0]


def test_a_subject_without_a_face(tmp_path: Path) -> None:
    sample = read_sample(sample_folder(tmp_path, "subjects/1/hat.png"))
    assert sample.references.subjects[0].name == "" and phrases(sample) == [("attribute", 0, "hat")]


def broken_folders() -> list[tuple[str, str, tuple[str, ...], str | None]]:
    return [
        ("no caption", "no caption.txt", (), None),
        ("empty caption", "holds no prompt", (), "  \n"),
        ("id alone", "holds no prompt", (), "id;"),
        ("two backgrounds", "at most one background", ("background/a.png", "background/b.png"), "x"),
        ("two faces", r"2 faces \(face_a.png, face_b.png\)", ("subjects/1/face_a.png", "subjects/1/face_b.png"), "x"),
        ("face without name", "does not say who", ("subjects/1/face.png",), "x"),
        ("same phrase", "same phrase 'hat'", ("subjects/1/hat.png", "subjects/1/hat.jpg"), "x"),
        ("same object", "same phrase 'cup'", ("objects/cup.png", "objects/cup.webp"), "x"),
    ]


@pytest.mark.parametrize(
    ("message", "names", "caption"), [case[1:] for case in broken_folders()], ids=[case[0] for case in broken_folders()]
)
def test_folders_that_are_refused(tmp_path: Path, message: str, names: tuple[str, ...], caption: str | None) -> None:
    with pytest.raises(InputError, match=message):
        read_sample(sample_folder(tmp_path, *names, caption=caption))


def test_empty_subject_folder_missing_folder_and_wrong_encoding(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no sample folder at"):
        read_sample(tmp_path / "none")
    folder = sample_folder(tmp_path / "a")
    (folder / "subjects/1").mkdir(parents=True)
    with pytest.raises(InputError, match=r"subjects.1 holds no pictures"):
        read_sample(folder)
    (folder / "caption.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match="UTF-8"):
        read_sample(folder)


def png_header(width: int, height: int) -> bytes:
    """A PNG whose header promises a size and whose pixels are missing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b""))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty file"),
        (b"no picture at all", "not a readable PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a readable PNG"),
        (png_header(0, 5), "no pixels|not a readable|broken"),
        (png_header(20000, 10), r"20000x10 pixels; at most 16384"),
        (png_header(20000, 20000), "too large"),
        (png_header(64, 64), "broken or cut off"),
    ],
    ids=["empty", "text", "eps", "zero-sized", "20000 wide", "20000 square", "cut off"],
)
def test_pictures_that_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "objects" / "cup.png"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_image(path)
    with pytest.raises(InputError, match=r"cup\.png"):
        read_sample(sample_folder(tmp_path))


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    for suffix in ("png", "jpg", "webp"):
        path = put(tmp_path / f"x.{suffix}", noise)
        path.write_bytes(path.read_bytes()[:-500])
        with pytest.raises(InputError, match="broken or cut off|not a readable"):
            open_image(path)
    with pytest.raises(InputError, match="is a folder; give the path"):
        open_image(tmp_path)
    with pytest.raises(InputError, match="no picture at"):
        open_image(tmp_path / "none.png")


def full_sample() -> Sample:
    """Everything that file names cannot say: tags, occurrences, order, odd phrases, twins, a name without a face."""
    return Sample(
        sample_id="case-1",
        prompt="a man; and a man",
        references=ReferenceSet(
            subjects=(
                Subject(
                    name="man",
                    face=picture(RED),
                    tag="bob",
                    occurrence=2,
                    attributes=(
                        Attribute(phrase="scarf", image=picture(GREEN), tag="s", occurrence=1),
                        Attribute(phrase="face_paint", image=picture(BLUE)),
                        Attribute(phrase="Hat", image=picture(RED)),
                        Attribute(phrase="hat", image=picture((1, 2, 3, 128))),
                    ),
                ),
                Subject(name="who: a/b?", face=picture(BLUE)),
                Subject(name="man", attributes=(Attribute(phrase="face", image=picture()),)),
                Subject(name="", attributes=(Attribute(phrase="x" * 300, image=picture()),)),
                Subject(name="y" * 300, face=picture()),
            ),
            objects=(
                SceneReference(phrase="cup", image=picture(GREEN)),
                SceneReference(phrase="cup", image=picture()),
                SceneReference(phrase="a bag", image=picture(), tag="bag"),
            ),
            background=SceneReference(phrase="..a street%20", image=picture(BLUE), occurrence=3),
        ),
    )


def test_everything_survives_the_round_trip(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "deep" / "sample", full_sample())
    assert read_sample(folder) == full_sample()
    assert (folder / "subjects/1/face_man.png").is_file() and (folder / "subjects/1/%66ace_paint.png").is_file()
    notes = json.loads((folder / "relations.json").read_text())
    assert notes["subjects/1"] == {
        "tag": "bob",
        "occurrence": 2,
        "order": ["scarf.png", "%66ace_paint.png", "Hat.png", "hat~2.png"],
    }
    assert notes["objects/cup~2.png"] == {"phrase": "cup"}
    assert [path.name for path in folder.parent.iterdir()] == ["sample"]


def test_a_plain_sample_has_no_relations_file(tmp_path: Path) -> None:
    sample = Sample(
        prompt="no id; here",
        references=ReferenceSet(
            subjects=(Subject(name="man", face=picture(), attributes=(Attribute(phrase="hat", image=picture()),)),)
        ),
    )
    folder = write_sample(tmp_path / "sample", sample)
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == [
        "caption.txt",
        "subjects",
        "subjects/1",
        "subjects/1/face_man.png",
        "subjects/1/hat.png",
    ]
    assert read_sample(folder) == sample


texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12).filter(str.strip)


@settings(max_examples=40, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4, unique_by=str.strip), texts, texts)
def test_any_phrases_and_prompt_round_trip(attributes: list[str], name: str, prompt: str) -> None:
    sample = Sample(
        prompt=prompt,
        references=ReferenceSet(
            subjects=(
                Subject(
                    name=name,
                    face=picture(),
                    attributes=tuple(
                        Attribute(phrase=phrase, image=picture((number, 0, 0))) for number, phrase in enumerate(attributes)
                    ),
                ),
            ),
            background=SceneReference(phrase=name, image=picture()),
        ),
    )
    with tempfile.TemporaryDirectory() as root:
        assert read_sample(write_sample(Path(root) / "sample", sample)) == sample


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20))
def test_escaped_phrases_are_safe_file_names(phrase: str) -> None:
    name = escape_phrase(phrase)
    assert unescape_phrase(name) == phrase
    assert not set(name) & set('/\\:*?"<>|\0\n') and name[0] not in ". " and name[-1] not in ". "


def test_file_names() -> None:
    assert escape_phrase('a/b: 100% "x"?') == "a%2Fb%3A 100%25 %22x%22%3F"
    assert escape_phrase("con") == "%63on" and escape_phrase("contact") == "contact"
    assert unescape_phrase("red%20shirt 100%") == "red shirt 100%"
    assert free_stem("Hat", {"hat"}) == "Hat~2"
    assert sorted(["a10", "A2", "a", "b", "a02"], key=natural_order) == ["a", "A2", "a02", "a10", "b"]


def test_relations_file_may_be_written_by_hand(tmp_path: Path) -> None:
    folder = sample_folder(tmp_path, "subjects/1/face_man.png", "subjects/1/b.png", "subjects/1/a.png")
    (folder / "relations.json").write_text(
        '{"subjects/1": {"tag": "bob", "order": ["b.png"]}, "subjects/1/a.png": {"phrase": "apron", "occurrence": 2}}'
    )
    subject = read_sample(folder).references.subjects[0]
    assert subject.tag == "bob"
    assert [(item.phrase, item.occurrence) for item in subject.attributes] == [("b", None), ("apron", 2)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no JSON"),
        ("[]", "holds a list"),
        ('{"subjects/9": {"tag": "x"}}', "names 'subjects/9', which is not in the folder"),
        ('{"subjects/1": {"order": ["gone.png"]}}', "names 'subjects/1/gone.png'"),
        ('{"subjects/1": {"colour": "x"}}', "unknown field 'colour'"),
        ('{"subjects/1": {"occurrence": "2"}}', "expected a whole number"),
        ('{"subjects/1": {"order": "hat.png"}}', "order is 'hat.png', expected a list"),
        ('{"subjects/1": {"tag": "a b"}}', "tag 'a b'"),
    ],
)
def test_broken_relations_files(tmp_path: Path, content: str, message: str) -> None:
    folder = sample_folder(tmp_path, "subjects/1/face_man.png")
    (folder / "relations.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_sample(folder)


def test_writing_refuses_and_replaces(tmp_path: Path) -> None:
    folder = tmp_path / "sample"
    write_sample(folder, full_sample())
    with pytest.raises(InputError, match="would be overwritten"):
        write_sample(folder, full_sample())
    small = Sample(prompt="x", references=ReferenceSet())
    write_sample(folder, small, overwrite=True)
    assert read_sample(folder) == small and [path.name for path in folder.iterdir()] == ["caption.txt"]
    other = put(tmp_path / "photos" / "mine.png").parent
    with pytest.raises(InputError, match="would be overwritten"):
        write_sample(other, small, overwrite=True)
    assert (other / "mine.png").is_file()
    with pytest.raises(InputError, match="cannot write the sample folder"):
        write_sample(folder / "caption.txt" / "below", small)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "sample"]


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(InputError, match="No space left"):
        write_sample(tmp_path / "sample", full_sample())
    assert list(tmp_path.iterdir()) == []
