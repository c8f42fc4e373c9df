"""The command line as a user meets it: what works, and what every kind of bad input says."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from lumosx_core.cli.main import COMMANDS, main
from lumosx_core.puppets.samples import SAMPLES_FOLDER
from lumosx_core.sampling.pipeline import NANO_FOLDER

FAST = ["--frames", "5", "--steps", "1"]


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A copy of an embedded sample that a test may spoil."""
    return Path(shutil.copytree(SAMPLES_FOLDER / "two_people", tmp_path / "sample"))


def fails(capsys: pytest.CaptureFixture[str], arguments: list[str], out: Path) -> str:
    """The message of a command that must end with status 2 and leave no output file."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and "Traceback" not in captured.err
    assert not out.exists() or not [p for p in out.rglob("*") if p.is_file()]
    return captured.err


def spoil_caption(sample: Path) -> str:
    (sample / "caption.txt").unlink()
    return "no caption.txt in"


def spoil_phrase(sample: Path) -> str:
    subject = sample / "subjects" / "1"
    garment = next(p for p in subject.iterdir() if not p.name.startswith("face_"))
    garment.rename(subject / "leather shirt.png")
    (sample / "relations.json").unlink(missing_ok=True)  # it may name the file
    return "'leather shirt' (attribute of subject 1) is not in the prompt; nearest phrases in it: "


def spoil_backgrounds(sample: Path) -> str:
    for name in ("park", "beach"):
        (sample / "background").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(sample / "background" / f"{name}.png")
    return "holds 2 pictures (beach.png, park.png); a video has at most one background"


def spoil_subject(sample: Path) -> str:
    (sample / "subjects" / "9").mkdir()
    return "holds no pictures; add face_<name>.png"


def face_of(sample: Path) -> Path:
    return next((sample / "subjects" / "1").glob("face_*.png"))


def spoil_unreadable(sample: Path) -> str:
    face_of(sample).write_bytes(b"\x89PNG\r\n\x1a\n but not really")
    return "is not a readable PNG, JPEG, WebP"


def spoil_zero_bytes(sample: Path) -> str:
    face_of(sample).write_bytes(b"")
    return "is an empty file (0 bytes)"


def spoil_huge(sample: Path) -> str:
    Image.new("1", (20000, 4)).save(face_of(sample))
    return "is 20000x4 pixels; at most 16384 on a side"


SPOILERS = (
    spoil_caption,
    spoil_phrase,
    spoil_backgrounds,
    spoil_subject,
    spoil_unreadable,
    spoil_zero_bytes,
    spoil_huge,
)


@pytest.mark.parametrize("spoil", SPOILERS, ids=lambda f: f.__name__)
def test_bad_samples(spoil, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = spoil(sample)
    message = fails(capsys, ["generate", str(sample), "--out", str(tmp_path / "out"), *FAST], tmp_path / "out")
    assert words in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--width", "100"], "width is 100 pixels, expected a multiple of 16"),
        (["--frames", "6"], "frames is 6, expected 4n + 1"),
        (["--attention", "sage"], "'sage' is not available: it runs on CUDA only"),
        (["--attention", "magic"], "unknown attention backend 'magic'"),
        (["--solver", "ddim"], "unknown solver 'ddim'"),
        (["--device", "cuda:77"], "device 'cuda:77' cannot be used"),
        (["--width", "8192", "--height", "16"], "need more than the 1024 positions"),
        (["--prompt", "nobody is here"], "is not in the prompt"),
    ],
)
def test_bad_options(
    arguments: list[str], words: str, sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    fast = ["--steps", "1", *([] if "--frames" in arguments else ["--frames", "5"])]
    assert words in fails(capsys, ["generate", str(sample), "--out", str(out), *fast, *arguments], out)


def model_copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(NANO_FOLDER, tmp_path / "model"))


def test_bad_checkpoints(sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, out = model_copy(tmp_path), tmp_path / "out"
    weights = model / "transformer.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    arguments = ["generate", str(sample), "--model", str(model), "--out", str(out), *FAST]
    assert "is not a whole safetensors file" in fails(capsys, arguments, out)
    weights.unlink()
    assert "lacks transformer.safetensors" in fails(capsys, arguments, out)
    shutil.copyfile(model / "vae.safetensors", weights)
    assert "is no Wan2.1 text-to-video transformer: it is a VAE" in fails(capsys, arguments, out)


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may write anywhere")
def test_a_read_only_folder(sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "locked"
    out.mkdir(mode=0o500)
    assert "cannot write into" in fails(capsys, ["generate", str(sample), "--out", str(out), *FAST], out)


def test_a_file_in_the_way(sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("mine")
    assert main(["generate", str(sample), "--out", str(tmp_path / "out"), *FAST]) == 2
    assert "choose another output folder" in capsys.readouterr().err
    assert (tmp_path / "out").read_text() == "mine"


def test_generate_and_inspect(sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["generate", str(sample), "--out", str(out), "--seed", "1", *FAST]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["sample_1.mp4", "sample_1_sheet.png", "sample_relations.png"]
    assert main(["inspect", str(sample), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "face of subject 1" in printed and "blocks of self-attention" in printed
    with Image.open(out / "sample_masks.png") as masks, Image.open(out / "sample_relations.png") as graph:
        assert (masks.width, graph.width) == (640, 720)


def test_inspect_reports_a_missing_phrase_instead_of_stopping(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil_phrase(sample)
    assert main(["inspect", str(sample), "--out", str(tmp_path / "out")]) == 0
    assert "problem: " in capsys.readouterr().out


def test_convert_fills_a_model_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "model"
    for kind, name in (("transformer", "transformer"), ("vae", "vae"), ("text-encoder", "text_encoder")):
        arguments = ["convert", kind, str(NANO_FOLDER / f"{name}.safetensors"), str(target), "--storage", "fp16"]
        assert main([*arguments, "--tokenizer", str(NANO_FOLDER / "spiece.model")]) == 0
    assert f"{target} is complete" in capsys.readouterr().out
    assert json.loads((target / "pipeline.json").read_text())["width"] == 832
    assert main(["convert", "vae", str(NANO_FOLDER / "transformer.safetensors"), str(tmp_path / "x")]) == 2
    assert "is no Wan2.1 VAE" in capsys.readouterr().err


def test_bench_and_doctor_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    arguments = ["bench", "attention", "--frames", "2", "--grid", "4x6", "--heads", "1", "--repeats", "2"]
    assert main([*arguments, "--json", str(figures)]) == 0
    report = json.loads(figures.read_text())
    assert report["tokens"] == (2 + 9) * 24 and report["self"]["plain"]["ratio"] == 1.0
    assert set(report["self"]) == {"plain", "relational", "no references", "dense mask"}
    assert set(report["cross"]) == {"plain", "relational", "no references", "dense bias"}
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert "attention      sage  on cpu: it runs on CUDA only" in told and "  reading        rules: there\n" in told


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in COMMANDS:
        with pytest.raises(SystemExit) as stopped:
            main([command, "--help"])
        assert stopped.value.code == 0
    assert "usage: lumosx verify" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_ends_with_130_and_no_half_file(sample: Path, tmp_path: Path) -> None:
    """A real process, a real signal, in the middle of denoising."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "lumosx_core", "generate", str(sample), "--out", str(out), "--steps", "2000"]
    # A shell that runs tests in the background lets its children ignore Ctrl-C; this one must not.
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    )
    try:
        deadline = time.monotonic() + 120
        while not (out / "sample_relations.png").exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and "stopped; nothing was left half-written" in errors
    assert [p.name for p in out.iterdir()] == ["sample_relations.png"]


def test_threads_that_wait_sleep_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, expected in ((None, "PASSIVE"), ("ACTIVE", "ACTIVE")):
        monkeypatch.setenv("OMP_WAIT_POLICY", given or "")
        if given is None:
            monkeypatch.delenv("OMP_WAIT_POLICY")
        with pytest.raises(SystemExit):
            main(["--version"])
        assert os.environ["OMP_WAIT_POLICY"] == expected
