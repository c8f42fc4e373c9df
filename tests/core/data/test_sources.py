"""Which videos there are, and who they are."""

import os
from pathlib import Path

import pytest

from lumosx_core.data.sources import find_videos, identify
from lumosx_core.data.store import WorkStore
from lumosx_core.errors import InputError


def fill(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content, "utf-8")
    return folder


def test_folders_files_and_lists(tmp_path: Path) -> None:
    videos = fill(tmp_path / "a b'c", one__mp4="1", one__txt="A man. ", two__MKV="2", note__md="no")
    fill(videos / "deep", three__mov="3")
    fill(videos / ".hidden", four__mp4="4")
    os.symlink(videos, videos / "deep" / "circle")
    found = find_videos([videos, videos / "one.mp4"])
    assert [(v.path.name, v.caption) for v in found] == [("three.mov", ""), ("one.mp4", "A man."), ("two.MKV", "")]
    (tmp_path / "list.csv").write_text(
        'path,caption,source,licence\n"a b\'c/one.mp4","A dog, really",web,CC0\na b\'c\\two.MKV,,,\n', "utf-8"
    )
    first, second = find_videos([tmp_path / "list.csv"])
    assert (first.caption, first.origin, first.licence) == ("A dog, really", "web", "CC0") and second.path.name == "two.MKV"
    (tmp_path / "list.jsonl").write_text('{"path": "a b\'c/one.mp4", "caption": "x"}\n\n', "utf-8")
    assert find_videos([tmp_path / "list.jsonl"])[0].caption == "x"


def test_names_that_are_no_text(tmp_path: Path) -> None:
    folder = fill(tmp_path / "v")
    try:
        (folder / os.fsdecode(b"caf\xe9.mp4")).write_bytes(b"x")
    except OSError:
        pytest.skip("NO SUCH NAMES: this file system takes UTF-8 only")
    with WorkStore(tmp_path / "w") as store:
        (source,), _ = identify(find_videos([folder]), store)
        assert source.names == ("caf?.mp4",) and Path(source.path).read_bytes() == b"x"


def test_inputs_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file or folder"):
        find_videos([tmp_path / "nothing"])
    with pytest.raises(InputError, match="there is no video in"):
        find_videos([fill(tmp_path / "empty")])
    for text, words in (("path\nnone.mp4\n", "row 1 of .* is no file"), ("name\nx\n", "row 1 of .* has no path")):
        (tmp_path / "list.csv").write_text(text, "utf-8")
        with pytest.raises(InputError, match=words):
            find_videos([tmp_path / "list.csv"])
    (tmp_path / "list.jsonl").write_text("{", "utf-8")
    with pytest.raises(InputError, match="line 1 of .* is no JSON"):
        find_videos([tmp_path / "list.jsonl"])


def test_one_content_is_one_source_and_earlier_ones_stay(tmp_path: Path) -> None:
    videos = fill(tmp_path / "v", a__mp4="same", b__mp4="same", b__txt="words", c__mp4="other")
    with WorkStore(tmp_path / "w") as store:
        sources, unreadable = identify(find_videos([videos]), store)
        assert not unreadable and len(sources) == 2
        same = next(source for source in sources if len(source.names) == 2)
        assert same.names == ("a.mp4", "b.mp4") and same.caption == "words" and Path(same.path).name == "a.mp4"
        fill(tmp_path / "more", d__mp4="new")
        again, _ = identify(find_videos([tmp_path / "more"]), store)
        assert {source.source for source in again} > {source.source for source in sources} and len(again) == 3
        (videos / "c.mp4").write_text("changed!", "utf-8")
        assert len(identify(find_videos([videos / "c.mp4"]), store)[0]) == 4
