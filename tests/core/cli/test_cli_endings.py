"""How commands end when the terminal, the disk or a signal does not let them go on: one line, a status, no traceback."""

import importlib.metadata
import io
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lumosx_core.cli import doctor, verify
from lumosx_core.cli.main import main
from lumosx_core.puppets.samples import SAMPLES_FOLDER

ROOT = Path(__file__).parents[3]
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX files and signals")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lumosx_core", *arguments]


@POSIX
def test_a_closed_pipe_and_a_full_disk_are_one_line() -> None:
    read, write = os.pipe()
    os.close(read)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with os.fdopen(write, "w") as nobody, open("/dev/full", "w") as full:
        for stdout, status, words in ((nobody, 141, "nobody reads the output"), (full, 2, "No space left on device")):
            for arguments in (("--help",), ("train", "nano", "--help")):
                done = subprocess.run(
                    command(*arguments), stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=buffered
                )
                assert done.returncode == status and words in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


@POSIX
def test_errors_that_nobody_can_read_end_too() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(command("convert", "vae", "/none", "/proc/none"), stderr=full, stdout=full, cwd=ROOT)
    assert done.returncode == 2


def test_a_terminal_that_is_not_utf8_shows_what_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = shutil.copytree(SAMPLES_FOLDER / "two_people", tmp_path / "\u540d")
    caption = sample / "caption.txt"
    caption.write_bytes(caption.read_bytes() + " caf\u00e9 \u7ea2".encode())
    out, err = (io.TextIOWrapper(io.BytesIO(), "ascii") for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert main(["inspect", str(sample), "--out", str(tmp_path / "out")]) == 0
    assert main(["inspect", str(tmp_path / "\u7ea2")]) == 2
    out.flush()
    err.flush()
    assert b"caf\\xe9 \\u7ea2" in out.buffer.getvalue() and b"\\u7ea2" in err.buffer.getvalue()  # type: ignore[attr-defined]


@POSIX
@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGHUP", 129), ("SIGINT", 130)])
def test_signals_are_ctrl_c(
    name: str, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run(options: object) -> int:  # noqa: ARG001
        try:
            os.kill(os.getpid(), getattr(signal, name))
            for _ in range(1000):
                signal.sigtimedwait([], 0.01)
        finally:
            (tmp_path / "tidied").touch()
        return 0

    monkeypatch.setattr(verify, "run", run)
    before = signal.getsignal(signal.SIGTERM)
    # A shell starts background work with SIGINT ignored, nohup with SIGHUP; the commands leave it so.
    ours = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    theirs = {number: signal.signal(number, handler) for number, handler in ours.items()}
    try:
        assert main(["verify"]) == status
    finally:
        for number, handler in theirs.items():
            signal.signal(number, handler)
    assert signal.getsignal(signal.SIGTERM) is before and (tmp_path / "tidied").exists()
    assert capsys.readouterr().err == "\nstopped; nothing was left half-written\n"


def test_what_the_system_refuses_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(options: object) -> int:  # noqa: ARG001
        return len(Path("x" * 300).read_text())

    monkeypatch.setattr(verify, "run", run)
    assert main(["verify"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "check the path" in error and len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["--repeats", "0"], ["--frames", "-1"], ["--heads", "0"], ["--head-dim", "999999999"], ["--grid", "4x"],
        ["--grid", "0x4"], ["--groups", "3", "-1"], ["--single", "-3"], ["--text-len", "0"], ["--json", "/"],
        ["--json", "/dev/full"], ["--layers", "0"], ["--batch", "0"], ["--preset", "t2v_2b"], ["--sweep", "colour"],
        ["--sweep", "references", "-1"], ["--against", "/tmp"],
    ],
)  # fmt: skip
def test_wrong_options_of_bench(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "attention", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and arguments[0].strip("-").split("-")[0] in error.replace("/", "json ")


def test_doctor_checks_every_requirement(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    needed = {name for name, _, extra in doctor.requirements() if not extra}
    assert needed == {
        "torch", "diffusers", "transformers", "safetensors", "einops", "numpy", "pillow", "av", "tqdm", "sentencepiece", "ftfy",
        "scipy",
    }  # fmt: skip
    stated = [(name, bound) for name, bound, extra in doctor.requirements() if not extra]
    version = importlib.metadata.version

    def changed(name: str) -> str:
        if name == "ftfy":
            raise importlib.metadata.PackageNotFoundError(name)
        return {"numpy": "1.25.9", "tqdm": "4.66", "torch": "2.10.0+cu128"}.get(name) or version(name)

    monkeypatch.setattr(importlib.metadata, "version", changed)
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert f'ftfy           MISSING: {sys.executable} -m pip install "ftfy>=6.1"' in printed
    assert "numpy          TOO OLD: 1.25.9 is older than 1.26" in printed and "tqdm           4.66\n" in printed

    def none(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", none)  # a custom node's folder
    assert [(name, bound) for name, bound, _ in doctor.requirements()] == stated


@pytest.mark.parametrize(
    ("version", "bound", "older"),
    [
        ("2.6.0", "2.6", False),
        ("2.10", "2.6", False),
        ("2.5.9", "2.6", True),
        ("5.0.0rc1", "5.0", False),
        ("0.9", "1.0.1", True),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, bound: str, older: bool) -> None:
    assert doctor.is_older(version, bound) is older


def test_a_python_that_looks_nowhere_else_runs_the_folder(tmp_path: Path) -> None:
    """As ComfyUI's portable build does: isolated, from another folder."""
    run = subprocess.run(
        [sys.executable, "-I", str(ROOT / "lumosx_core"), "--version"], capture_output=True, text=True, cwd=tmp_path
    )
    assert (run.returncode, run.stderr) == (0, "") and run.stdout.startswith("lumosx ")
