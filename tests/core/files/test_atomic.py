"""Whole or not at all: what is on the disk before, while and after a file or folder is written, and after a killed writer."""

import ast
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lumosx_core.errors import InputError
from lumosx_core.files import leftovers
from lumosx_core.files.atomic import copy_file, whole_file, whole_folder, writable_folder, write_bytes, write_text
from lumosx_core.files.leftovers import ASIDE, PARTIAL, hidden_name, process_lives, restore, tidy
from lumosx_core.files.names import output_stem
from lumosx_core.files.weights import write_safetensors

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")


def gone_process() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def made_by(process: int, path: Path, kind: str) -> Path:
    """The name that `process` would have taken for an unfinished file."""
    name = hidden_name(path, kind).name
    return path.parent / name.replace(f"-{os.getpid()}-", f"-{process}-")


def names(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    with whole_file(target) as partial:
        partial.write_text("half")
        assert not target.exists() and partial.parent == target.parent and partial.suffix == ".txt"
    assert target.read_text() == "half" and names(target.parent) == ["a.txt"]
    with pytest.raises(KeyboardInterrupt), whole_file(target) as partial:
        partial.write_text("other")
        raise KeyboardInterrupt
    assert target.read_text() == "half" and names(target.parent) == ["a.txt"]
    with pytest.raises(InputError, match="cannot write the list .*a folder is there"), whole_file(tmp_path / "new", "the list"):
        pass


@POSIX
@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077, 0o002])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_text(tmp_path / "text", "a")
        write_safetensors(tmp_path / "w.safetensors", {"a": torch.ones(2)}, {})
        with whole_file(tmp_path / "private") as partial:
            partial.unlink()
            partial.touch(mode=0o600)
        with whole_folder(tmp_path / "folder", "a folder") as inside:
            (inside / "a").write_text("a")
    finally:
        os.umask(before)
    for name in ("text", "w.safetensors", "private", "folder/a"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o666 & ~mask, name
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o777 & ~mask


def test_a_folder_is_replaced_without_a_moment_in_which_both_are_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    seen: list[set[str]] = []
    rename = os.rename

    def spying(old: Path, new: Path) -> None:
        rename(old, new)
        seen.append({(path / "a").read_text() for path in tmp_path.iterdir()})

    for text in ("old", "new"):
        with whole_folder(folder, "a folder") as inside:
            (inside / "a").write_text(text)
        monkeypatch.setattr(os, "rename", spying)
    assert seen == [{"old", "new"}, {"old", "new"}]
    assert (folder / "a").read_text() == "new" and names(tmp_path) == ["folder"]

    def refusing(old: Path, new: Path) -> None:
        if new == folder and ".partial" in str(old):
            raise OSError("no")
        rename(old, new)

    monkeypatch.setattr(os, "rename", refusing)
    with pytest.raises(InputError, match="cannot write a folder"), whole_folder(folder, "a folder") as inside:
        (inside / "a").write_text("newer")
    assert (folder / "a").read_text() == "new" and names(tmp_path) == ["folder"]


@pytest.mark.parametrize(
    "name", ["model.safetensors", ".hidden", "a b.c d", "\u540d" * 66, "x" * 251 + ".mp4", "~.png", "\udcff.txt"]
)
def test_what_a_gone_writer_left_is_removed_and_nothing_else(tmp_path: Path, name: str) -> None:
    gone = gone_process()
    path = tmp_path / name
    left = made_by(gone, path, PARTIAL)
    left.write_text("half")
    left_folder = made_by(gone, tmp_path / "frames", PARTIAL)
    (left_folder / "deep").mkdir(parents=True)
    of_others = [
        hidden_name(path, PARTIAL),  # this process may be writing it in another thread
        tmp_path / left.name.replace(leftovers._machine(), "0" * 8),  # another machine
        tmp_path / ".model.12345678.partial.safetensors",
        tmp_path / ".git",
        tmp_path / "a.partial",
    ]
    for other in of_others:
        other.write_text("kept")
    assert len(os.fsencode(left.name)) < 255
    write_text(tmp_path / "something", "new")
    assert not left.exists() and not left_folder.exists()
    assert all(other.read_text() == "kept" for other in of_others)
    os.utime(of_others[1], (0, time.time() - leftovers.FOREIGN_AGE_S - 60))
    tidy(tmp_path)
    assert not of_others[1].exists() and all(other.exists() for other in of_others if other != of_others[1])


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_process_id_that_was_given_out_again_protects_nothing(tmp_path: Path) -> None:
    mine = hidden_name(tmp_path / "a", PARTIAL)
    machine, process, start, _ = mine.name.split(".")[3].split("-")
    earlier = tmp_path / mine.name.replace(f"-{start}-", "-00000001-")
    for path in (mine, earlier):
        path.touch()
    tidy(tmp_path)
    assert mine.exists() and not earlier.exists() and int(process) == os.getpid()


def test_a_folder_that_was_moved_aside_comes_back(tmp_path: Path) -> None:
    folder, gone = tmp_path / "sample", gone_process()
    for replaced in (False, True):
        aside = made_by(gone, folder, ASIDE)
        aside.mkdir()
        (aside / "a").write_text("old")
        if replaced:  # killed before the old one was deleted
            (folder / "a").write_text("new")
        tidy(tmp_path)
        restore(folder)
        assert (folder / "a").read_text() == ("new" if replaced else "old") and names(tmp_path) == ["sample"]
    living = hidden_name(tmp_path / "other", ASIDE)
    living.mkdir()
    restore(tmp_path / "other")
    assert names(tmp_path) == sorted([living.name, "sample"])


def test_processes_are_known_to_live_or_not() -> None:
    assert process_lives(os.getpid()) and process_lives(os.getppid()) and not process_lives(gone_process())
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert process_lives(sleeper.pid)
    sleeper.kill()
    deadline = time.monotonic() + 10
    while process_lives(sleeper.pid) and time.monotonic() < deadline:  # it is a zombie then: nobody has waited for it
        time.sleep(0.01)
    assert not process_lives(sleeper.pid)
    sleeper.wait()


def test_a_copy_is_whole_and_onto_itself_nothing(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"content")
    copy_file(tmp_path / "a", tmp_path / "below" / "b")
    copy_file(tmp_path / "a", tmp_path / "a")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    copy_file(tmp_path / "link", tmp_path / "a")
    assert (tmp_path / "below" / "b").read_bytes() == (tmp_path / "a").read_bytes() == b"content"
    with pytest.raises(InputError, match="there is no file .*to copy as the tokenizer"):
        copy_file(tmp_path / "none", tmp_path / "c", "the tokenizer")


def test_folders_are_tried_before_the_work(tmp_path: Path) -> None:
    assert writable_folder(tmp_path / "a", "x" * 200) == tmp_path / "a" and names(tmp_path / "a") == []
    (tmp_path / "file").write_text("mine")
    for place, stem in ((tmp_path / "file", ""), (tmp_path / "a", "x" * 255), (tmp_path / ("x" * 256), "")):
        with pytest.raises(InputError, match="cannot write into"):
            writable_folder(place, stem)


@pytest.mark.parametrize("name", ["", " ", "..", "a/b", "/tmp/x", "a\\b", "a\nb", "a\0b", "x" * 201, "\u540d" * 80, "\udcff"])
def test_names_that_files_cannot_have_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="the name "):
        output_stem(name)


@pytest.mark.parametrize("name", ["a", "con", "50% done", "\u540d" * 66, "x" * 200, "a.b", ".x", "@1 & 2"])
def test_names_that_files_can_have_are_kept(name: str) -> None:
    assert output_stem(name) == name


CORE = Path(__file__).parents[3] / "lumosx_core"
WRITERS = {"write_text", "write_bytes", "save", "savez", "savez_compressed", "save_file", "touch"}
MOVERS = {"copyfile", "copy", "copy2", "copytree", "move", "rename", "replace", "rmtree", "unlink", "rmdir", "remove"}
KNOWN = {"curves.py": "TensorBoard's own writer appends events"}


def calls_that_touch_files(tree: ast.Module) -> list[str]:
    """Calls that write, move or delete a file and are not inside `with whole_file(...)` or `with whole_folder(...)`."""
    inside: set[ast.AST] = set()
    own = {name.asname or name.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.With) and any(
            "whole_file(" in ast.unparse(i) or "whole_folder(" in ast.unparse(i) for i in node.items
        ):
            inside |= set(ast.walk(node))
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or node in inside:
            continue
        text, last = ast.unparse(node.func), ast.unparse(node.func).split(".")[-1]
        if isinstance(node.func, ast.Name):
            named = (WRITERS - (OURS & own)) | (MOVERS - {"replace", "copy"}) | {"SummaryWriter"}
            touches = last in named or (last == "open" and writes(node, 1))
        else:
            touches = (last in WRITERS and not (last == "touch" and node.args)) or (
                last == "open" and (writes(node, 0) or writes(node, 1))
            )
            touches |= last in MOVERS and (text.split(".")[0] in ("os", "shutil") or last in ("unlink", "rmdir", "rename"))
        if touches or text == "json.dump":
            found.append(f"line {node.lineno}: {ast.unparse(node)[:90]}")
    return found


OURS = {"write_text", "write_bytes"}  # of files/atomic.py


def writes(call: ast.Call, place: int) -> bool:
    """True if `open` is called with a mode that writes."""
    modes = [*call.args[place : place + 1], *(k.value for k in call.keywords if k.arg == "mode")]
    return any(
        isinstance(mode, ast.Constant) and isinstance(mode.value, str) and set(mode.value) & set("wax+") for mode in modes
    )


def test_every_file_is_written_through_this_room() -> None:
    """No call outside files/ writes, moves or deletes a file, but into a partial of whole_file or whole_folder."""
    found = []
    for path in sorted([*CORE.rglob("*.py"), *(CORE.parent / "nodes").glob("*.py")]):
        if path.parent != CORE / "files" and path.name not in KNOWN:
            found += [f"{path.name} {call}" for call in calls_that_touch_files(ast.parse(path.read_text("utf-8")))]
    assert not found, "\n".join(found)


def test_the_search_finds_every_kind_of_call() -> None:
    bad = """
open("a", "w"); open(p, mode="ab"); p.open("w"); p.write_text("x"); p.write_bytes(b""); np.save(p, x); torch.save(x, p)
image.save(p); save_file(x, p); shutil.copyfile(a, b); os.replace(a, b); os.rename(a, b); p.unlink(); shutil.rmtree(p)
json.dump(x, f); np.savez_compressed(p, a=a); shutil.move(a, b); p.rename(q); p.touch(); os.remove(p); write_text(p, "x")
"""
    assert len(calls_that_touch_files(ast.parse(bad))) == 21
    good = """
from lumosx_core.files.atomic import write_text
open(p); open(p, "rb"); p.open(); write_text(p, "x"); "a".replace("b", "c"); replace(config, steps=1); x.copy(); s.remove(3)
with whole_file(p) as partial:
    torch.save(x, partial)
"""
    assert calls_that_touch_files(ast.parse(good)) == []
