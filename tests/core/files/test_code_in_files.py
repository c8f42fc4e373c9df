"""No code runs from any file: crafted pickles and folders, through every loader and command that takes a path."""

import contextlib
import copyreg
import os
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint.metadata

from lumosx_core.cli.main import main
from lumosx_core.errors import InputError
from lumosx_core.files.weights import open_weights, read_pickle, read_state_dict
from lumosx_core.model.checkpoint import load_transformer
from lumosx_core.model.text_encoder import load_text_encoder
from lumosx_core.model.vae import load_vae
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.training.resume import load_state


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def metadata_class(name: str) -> bytes:
    return f"ctorch.distributed.checkpoint.metadata\n{name}\n".encode()


def crafted(trap: Path) -> dict[str, bytes]:
    """Pickles that make the folder `trap`, or would change something, if anything of theirs ran."""
    call = str(trap)
    made = f"(S{call!r}\n".encode()
    proto = b"\x80\x02"
    plain = b"cos\nmkdir\n" + made + b"tR"
    setter = metadata_class("Metadata")

    class Reduced:
        def __reduce__(self):
            return (os.mkdir, (call,))

    class InState:
        def __reduce__(self):
            return (dict, (), {"x": Reduced()})

    return {
        "reduce": proto + plain + b".",
        "reduce, protocol 0": plain + b".",
        "posix": proto + b"cposix\nmkdir\n" + made + b"tR.",
        "stack global": b"\x80\x04" + text("os") + text("mkdir") + b"\x93" + made + b"tR.",
        "inst": b"(S" + repr(call).encode() + b"\nios\nmkdir\n.",
        "obj": b"(cos\nmkdir\nS" + repr(call).encode() + b"\no.",
        "newobj": proto + b"cos\nmkdir\n" + made + b"t\x81.",
        "newobj_ex": b"\x80\x04cos\nmkdir\n" + made + b"t}\x92.",
        "eval": proto + b"cbuiltins\neval\n(S'__import__(\"os\").mkdir(" + repr(call).encode().replace(b"'", b'"') + b")'\ntR.",
        "exec": proto + b"cbuiltins\nexec\n(S'import os; os.mkdir(\"" + call.encode() + b"\")'\ntR.",
        "getattr": proto + b"cbuiltins\ngetattr\n(cos\nS'mkdir'\ntR" + made + b"tR.",
        "dotted name": b"\x80\x04" + text("torch.distributed.checkpoint.metadata") + text("os.mkdir") + b"\x93" + made + b"tR.",
        "globals of a class": b"\x80\x04"
        + text("torch.distributed.checkpoint.metadata") + text("Metadata.__init__.__globals__") + b"\x93.",
        "name in torch": proto + b"ctorch\nload\n(S'x'\ntR.",
        "torch.os": b"\x80\x04" + text("torch") + text("os.mkdir") + b"\x93" + made + b"tR.",
        "torch hub": proto + b"ctorch.hub\nload\n" + made + b"tR.",
        "subprocess": proto + b"csubprocess\ncall\n((S'mkdir'\nS" + repr(call).encode() + b"\nltR.",
        "build": proto + setter + b")\x81}S'state_dict_metadata'\n" + plain + b"sb.",
        "nested": proto + setter + b")\x81}S'state_dict_metadata'\n}S'a'\n" + plain + b"ssb.",
        "in a reduce of state": pickle.dumps(InState()),
        "inside a list of a dict": pickle.dumps({"ema": [{"x": Reduced()}]}),
        "memo": proto + b"cos\nmkdir\nq\x00" + made + b"tq\x010h\x00h\x01R.",
        "huge memo": proto + b"cos\nmkdir\nr\xff\xff\xff\x7f0j\xff\xff\xff\x7f" + made + b"tR.",
        "extension": proto + b"\x82\xf0" + made + b"tR.",
        "persistent": proto + b"S'os.mkdir'\nQ.",
        "setstate of a class": proto + setter + b"(N}S'__setstate__'\ncos\nmkdir\nstb" + made + b"tR.",
        "class changed": proto + setter + b"(N}S'spoilt'\nI1\nstb.",
        "dict changed": proto + b"ccollections\nOrderedDict\n)R}S'__class__'\ncos\nsystem\nsb.",
    }  # fmt: skip


NAMES = list(crafted(Path("trap")))


@pytest.fixture(params=NAMES)
def trap(request, tmp_path):
    """(the place that a running file would make, the crafted pickle)"""
    place = tmp_path / "sprung"
    copyreg.add_extension("os", "mkdir", 0xF0)
    copyreg._extension_cache[0xF0] = os.mkdir  # as if something had used it already
    yield place, crafted(place)[request.param]
    copyreg.remove_extension("os", "mkdir", 0xF0)
    assert not place.exists() and not list(tmp_path.rglob("sprung"))
    assert not hasattr(torch.distributed.checkpoint.metadata.Metadata, "spoilt")


def torch_zip(path: Path, content: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    return path


def legacy(path: Path, content: bytes) -> Path:
    magic, version = (pickle.dumps(number, protocol=2) for number in (0x1950A86A20F9469CFC6C, 1001))
    path.write_bytes(magic + version + pickle.dumps({"little_endian": True}, protocol=2) + content)
    return path


def every_form(folder: Path, content: bytes) -> list[Path]:
    """The pickle as .pt in both formats, plain, under the names of other formats, and as two folders."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plain.pth").write_bytes(content)
    (folder / "plain.safetensors").write_bytes(content)
    shards = folder / "distributed"
    shards.mkdir()
    (shards / ".metadata").write_bytes(content)
    named = folder / "folder.safetensors"
    named.mkdir()
    (named / ".metadata").write_bytes(content)
    made = [torch_zip(folder / "zip.pt", content), torch_zip(folder / "zip.safetensors", content)]
    return [*made, legacy(folder / "legacy.pt", content), folder / "plain.pth", folder / "plain.safetensors", shards, named]


def test_no_loader_runs_it(trap, tmp_path: Path) -> None:
    spiece = NANO_FOLDER / "spiece.model"
    for path in every_form(tmp_path / "files", trap[1]):
        loaders = [
            open_weights,
            read_state_dict,
            load_transformer,
            load_vae,
            lambda path: load_text_encoder(path, spiece),
            lambda path: read_pickle(path, "the state"),
        ]
        for load in loaders:
            with pytest.raises(InputError):
                load(path)


def test_no_command_runs_it(trap, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forms = every_form(tmp_path / "files", trap[1])
    for path in forms:
        for kind in ("transformer", "vae", "text-encoder"):
            assert main(["convert", kind, str(path), str(tmp_path / "out")]) == 2
        assert main(["train", "transformer", str(tmp_path), "--out", str(tmp_path / "o"), "--initial", str(path)]) == 2
    assert "Traceback" not in capsys.readouterr().err
    for path in (form for form in forms if form.suffix in (".pt", ".pth")):
        shutil.copy(path, tmp_path / "state.pt")
        with contextlib.suppress(InputError, pickle.UnpicklingError, RuntimeError):
            load_state(tmp_path, None)


@pytest.mark.parametrize("name", ["transformer", "vae", "text_encoder"])
def test_folders_with_the_names_of_files(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model folder in which a *folder* bears the name of a file: `generate`, `evaluate` and `train` do not look inside."""
    model = tmp_path / "model"
    shutil.copytree(NANO_FOLDER, model)
    (model / f"{name}.safetensors").unlink()
    (model / f"{name}.safetensors").mkdir()
    trap = tmp_path / "sprung"
    (model / f"{name}.safetensors" / ".metadata").write_bytes(crafted(trap)["reduce"])
    sample = NANO_FOLDER.parent / "samples" / "two_people"
    assert main(["generate", str(sample), "--model", str(model), "--steps", "1", "--out", str(tmp_path / "out")]) == 2
    assert main(["evaluate", "puppets", "--model", str(model), "--count", "2", "--out", str(tmp_path / "e")]) == 2
    assert not trap.exists() and "Traceback" not in capsys.readouterr().err


def test_what_is_refused_is_named(tmp_path: Path) -> None:
    (tmp_path / ".metadata").write_bytes(crafted(tmp_path / "sprung")["reduce"])
    with pytest.raises(InputError, match="metadata holds os.mkdir, which no checkpoint needs"):
        open_weights(tmp_path)
    torch_zip(tmp_path / "a.pt", crafted(tmp_path / "sprung")["reduce"])
    with pytest.raises(InputError, match=r"a\.pt holds Python objects besides tensors \(os\.mkdir\)") as raised:
        open_weights(tmp_path / "a.pt")
    assert "weights_only=False" not in str(raised.value)


def test_folders_of_torch_2_6_are_read() -> None:
    """Written by torch 2.6.0, whose metadata has other fields than that of later versions."""
    folder = Path(__file__).parents[1] / "distributed_2_6"
    for entry, dtype, factor in (("ema", torch.float32, 1), ("model", torch.bfloat16, 2)):
        state, _ = read_state_dict(folder, entry)
        assert torch.equal(state["a.b"], (torch.arange(6.0).reshape(2, 3) * factor).to(dtype))
    assert state.keys() == {"a.b"} and read_state_dict(folder)[0]["s"].shape == ()


@pytest.mark.parametrize("damage", ["missing", "cut", "outside", "header"])
def test_missing_and_cut_shards(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "d"
    shutil.copytree(Path(__file__).parents[1] / "distributed_2_6", folder)
    shard = folder / "__0_0.distcp"
    if damage == "missing":
        shard.unlink()
    elif damage == "cut":
        shard.write_bytes(shard.read_bytes()[:-1000])
    elif damage == "outside":  # the metadata names a file in another folder
        shard.rename(tmp_path / "_0.distcp")
        content = (folder / ".metadata").read_bytes()
        (folder / ".metadata").write_bytes(content.replace(b"__0_0.distcp", b"../_0.distcp"))
    else:
        shard.write_bytes(b"\0" * shard.stat().st_size)
    with pytest.raises(InputError, match="is missing|cut short|not in the folder|cannot be read|begins|holds"):
        read_state_dict(folder)
