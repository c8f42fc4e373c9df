"""Several processes, as torchrun starts them, make the video of one together, or share the videos out."""

import argparse
import contextlib
import io
import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from lumosx_core.cli.generate import _budget, _shards
from lumosx_core.cli.main import main
from lumosx_core.errors import InputError
from lumosx_core.files.videos import read_video
from lumosx_core.model.sequence_shards import SequenceShards
from lumosx_core.puppets.samples import SAMPLES_FOLDER
from lumosx_core.sample_folder import read_sample
from lumosx_core.sampling.generate import denoise, prepare
from lumosx_core.sampling.pipeline import LumosXPipeline
from lumosx_core.training import parallelize
from lumosx_core.training.parallelize import VARIABLES, Processes, begin_processes, end_processes, loss_told

SAMPLE = SAMPLES_FOLDER / "two_people"
CHANGES: dict[str, dict] = {"as published": {}, "cheaper": {"blank_tokens": "drop", "reference_refresh": 2}}
COMMAND = ["generate", str(SAMPLE), "--frames", "1", "--steps", "1", "--seed", "1", "2"]


def latents(shards: SequenceShards | None) -> dict[str, torch.Tensor]:
    """Of two seeds at once, in three guided steps."""
    pipeline, sample, made = LumosXPipeline(shards=shards), read_sample(SAMPLE), {}
    for name, changes in CHANGES.items():
        config = replace(pipeline.defaults.config, frames=5, steps=3, **changes)
        made[name] = denoise(pipeline, prepare(pipeline, sample, config), config, [4, 5])
    return made


def in_process(rank: int, ports: list[int], folder: Path) -> None:
    """One of two processes: the latents, then the command once for each way."""
    os.environ |= dict(zip(VARIABLES, map(str, (rank, 2, rank, "127.0.0.1", ports[0])), strict=True))
    torch.set_num_threads(1)
    processes, _ = begin_processes("cpu", os.environ, None)
    torch.save(latents(SequenceShards(processes.group, rank, 2)), folder / f"latents-{rank}.pt")
    end_processes(processes)
    os.environ["MASTER_PORT"] = str(ports[3])
    parallelize.PATIENCE_S = 2
    told_of_the_lost(begin_processes("cpu", os.environ, None)[0], folder)
    parallelize.PATIENCE_S = 600
    for port, ways in zip(ports[1:3], ([], ["--each"]), strict=True):
        os.environ["MASTER_PORT"] = str(port)
        with contextlib.redirect_stdout(io.StringIO()) as told:
            assert main([*COMMAND, *ways, "--out", str(folder / "-".join(["out", *ways]))]) == 0
        (folder / f"told-{rank}{''.join(ways)}.txt").write_text(told.getvalue(), "utf-8")


def told_of_the_lost(processes: Processes, folder: Path) -> None:
    """The first process works alone for longer than the patience with a process that is gone, then longer in an exchange."""
    shards = _shards(processes)
    assert shards is not None
    if processes.first:
        time.sleep(3)
    shards.wait()
    message = ""
    try:
        with loss_told(processes, "making videos", "Start again"):
            if processes.first:
                time.sleep(4)
            else:
                dist.all_reduce(torch.zeros(1), group=processes.group)
    except InputError as error:
        message = str(error)
    (folder / f"lost-{processes.rank}.txt").write_text(message, "utf-8")
    end_processes(processes)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listening = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in listening:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in listening]


def test_two_processes_make_the_video_of_one(tmp_path: Path) -> None:
    """The groups of references are cut across the two, also where blank tokens leave them uneven."""
    multiprocessing.spawn(in_process, (free_ports(4), tmp_path), nprocs=2)
    lost = [(tmp_path / f"lost-{rank}.txt").read_text("utf-8") for rank in (0, 1)]
    assert lost[0] == "" and lost[1].startswith("process 1 of 2, making videos: another process ended, or was not heard of")
    assert lost[1].endswith("its own messages say why. Start again")
    alone = latents(None)
    for rank in (0, 1):
        for name, got in torch.load(tmp_path / f"latents-{rank}.pt").items():
            assert (got - alone[name]).abs().max() <= 1e-5 * alone[name].abs().max(), (name, rank)
    assert (alone["cheaper"] - alone["as published"]).abs().max() > 1e-2
    together, each = tmp_path / "out", tmp_path / "out---each"
    names = sorted(path.name for path in each.iterdir())
    assert names == sorted(path.name for path in together.iterdir()) and len(names) == 5
    for seed in (1, 2):
        one, two = (read_video(folder / f"two_people_{seed}.mp4")[0].astype(int) for folder in (together, each))
        assert abs(one - two).max() <= 2
    told = {name: (tmp_path / f"told-{name}.txt").read_text("utf-8") for name in ("0", "1", "0--each", "1--each")}
    assert told["1"] == "" and told["0"].count("video  ") == 2
    for rank in (0, 1):
        assert f"two_people_{rank + 1}.mp4" in told[f"{rank}--each"] and told[f"{rank}--each"].count("video  ") == 1


@pytest.mark.parametrize(
    ("arguments", "variables", "words"),
    [
        (["--each"], {}, "--each shares the videos out among the processes of torchrun"),
        ([], {"WORLD_SIZE": "2"}, "WORLD_SIZE are set, but RANK, LOCAL_RANK, MASTER_ADDR, MASTER_PORT are not"),
        ([], {"RANK": "x", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "h", "MASTER_PORT": "1"}, "whole numbers"),
        ([str(SAMPLE)], {}, "files of several samples would be called two_people_"),
        ([str(SAMPLES_FOLDER / "three_people"), "--latent", "a.safetensors"], {}, "--latent is of one sample, got 2"),
    ],
)
def test_what_does_not_go_is_told_at_once(
    arguments: list[str], variables: dict[str, str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["generate", str(SAMPLE), *arguments, "--out", str(tmp_path / "out")]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("each", [True, False])
def test_a_plan_is_of_one_process_on_its_own_device(each: bool) -> None:
    options = argparse.Namespace(memory=4.0, each=each)
    assert _budget(options, LumosXPipeline(), None) == _budget(options, LumosXPipeline(), Processes()) == 4
    with pytest.raises(InputError, match="--memory plans one process on a device of its own; leave it out"):
        _budget(options, LumosXPipeline(), Processes(rank=1, count=2))


def test_processes_that_do_not_divide_the_heads_are_told_before_a_model_is_loaded() -> None:
    with pytest.raises(ValueError, match="3 do not divide the 4 heads of the model; take one of 1, 2, 4"):
        LumosXPipeline(shards=SequenceShards(None, 0, 3))
