"""Several processes give what one gives, step by step, share samples, and go on from each other's states."""

import contextlib
import io
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from test_recipes import latents

from lumosx_core.cli.main import main
from lumosx_core.data.latent_dataset import LatentDataset
from lumosx_core.errors import InputError
from lumosx_core.files.shards import shard_name
from lumosx_core.model.config import PRESETS
from lumosx_core.model.sequence_shards import SequenceShards, share_sequence
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.puppets.samples import SAMPLES_FOLDER
from lumosx_core.sample_folder import read_sample
from lumosx_core.sampling.pipeline import LumosXPipeline
from lumosx_core.training import state_folder
from lumosx_core.training.config import DEBUG, LoraConfig, MemoryConfig, TrainingConfig
from lumosx_core.training.parallelize import VARIABLES, Processes, begin_processes, check_sharded, end_processes
from lumosx_core.training.resume import load_state
from lumosx_core.training.samples import Samples
from lumosx_core.training.train import train
from lumosx_core.training.validate import Validation

SIZES = replace(PRESETS["debug_64"], num_layers=2)
PLAIN = replace(DEBUG, steps=6, batch=3, save_every=2, warmup_steps=1, text_dropout=0.2)
CONFIGS = {
    "adamw": replace(PLAIN, micro_batch=1),
    "muon": replace(PLAIN, optimizer="muon", gradient_checkpointing=True),
    "lora": replace(PLAIN, lora=LoraConfig(rank=4), batch=1),  # fewer samples than processes
}


class StopError(Exception):
    pass


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def base() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    model = LumosXTransformer(SIZES)
    model.initialize_weights()
    torch.nn.init.normal_(model.head.head.weight, std=0.1)  # fresh ones are zero, and nothing before them would learn
    return model.state_dict()


def samples() -> Samples:
    """Three tiny videos of one step; of each is told how light it is."""
    pipeline = LumosXPipeline()
    two = read_sample(SAMPLES_FOLDER / "two_people")
    tiny = replace(pipeline.defaults.config, steps=1, width=48, height=32, frames=1, cfg=1.0)

    def light(name: str, frames: np.ndarray) -> dict[str, tuple[float, float]]:
        return {"light": (int(name) * float(frames.mean()), 255.0)}

    return Samples(pipeline=pipeline, samples=dict.fromkeys("123", two), config=tiny, every=2, score=light)


def trained(name: str, folder: Path, until: int, processes: Processes, device: str = "cpu") -> dict[str, float]:
    """Train until that step is done; losses and what is watched, by step. The result is written beside the state by the first
    process."""
    config: TrainingConfig = CONFIGS[name]
    told: dict[str, float] = {}

    def on_step(step: int, figures: dict[str, float]) -> None:
        watched = {key: value for key, value in figures.items() if key.startswith(("validation", "sampled"))}
        told.update({f"{step} {key}": value for key, value in (watched | {"loss": figures["loss"]}).items()})
        if step + 1 == until < config.steps:
            raise StopError

    initial = base() if config.lora is not None else None
    try:
        data = LatentDataset(folder.parent / "data")
        watch = {"validation": Validation(data=data, every=2, batch=3), "samples": samples()} if name == "adamw" else {}
        model = train(
            config, SIZES, data, folder, on_step=on_step, processes=processes, device=device, initial=initial, **watch
        )
    except StopError:
        return told
    if processes.first:
        torch.save(model.state_dict(), folder / "result.pt")
    return told


def shared_errors(rank: int) -> list[float]:
    """How far outputs and gradients of two processes that share tokens are from those of one, relative to the largest number of
    each: groups of references are cut across the processes, and nothing divides the rows."""
    layout = TokenLayout(3, 3, 5, kinds=("object", "face", "attribute", "face"), subjects=(None, 0, 0, 1))
    errors = []
    for levels in (True, False):
        results = []
        for shared in (False, True):
            torch.manual_seed(4)
            model = LumosXTransformer(SIZES)
            for parameter in model.parameters():
                torch.nn.init.normal_(parameter, std=0.1)
            if shared:
                share_sequence(model, SequenceShards(None, rank, 2))
            model.gradient_checkpointing = levels
            out = model(
                torch.randn(2, 16, 3, 6, 10),
                torch.tensor([5.0, 900.0]),
                torch.randn(2, 80, 96),
                torch.randn(2, 4, 16, 6, 10),
                layout,
                torch.rand(2, 4, 80) if levels else None,
            )
            (out * torch.randn(out.shape)).sum().backward()
            gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
            for gradient in gradients if shared else []:
                dist.all_reduce(gradient)
            results.append([out.detach(), *gradients])
        errors += [float((one - two).abs().max() / one.abs().max()) for one, two in zip(*results, strict=True)]
    return errors


def in_process(rank: int, ports: tuple[int, int], folder: Path, until: int) -> None:
    """One of two processes: every training until that step; with the last one the command too."""
    os.environ |= dict(zip(VARIABLES, map(str, (rank, 2, rank, "127.0.0.1", ports[0])), strict=True))
    torch.set_num_threads(1)
    processes, device = begin_processes("cpu", os.environ, sequence=2 if until == PLAIN.steps else 1)
    for name in CONFIGS:
        told = trained(name, folder / name, until, processes, device)
        if processes.first:
            torch.save(told, folder / name / f"told-{until}.pt")
    if until == 2:
        twice = replace(processes, replicas=2)  # every process has all tensors
        told = trained("muon", folder / "replicas", 6, twice)
        if processes.first:
            torch.save(told, folder / "told-replicas.pt")
        assert max(shared_errors(rank)) <= 1e-5, shared_errors(rank)
        killed_while_writing(folder, processes)
    end_processes(processes)
    if until == PLAIN.steps:
        os.environ["MASTER_PORT"] = str(ports[1])
        with contextlib.redirect_stdout(io.StringIO()) as told:
            command = ["train", "transformer", str(folder / "data"), "--device", "cpu", "--recipe", "debug", "--steps", "2"]
            assert main([*command, "--out", str(folder / "command")]) == 0
        (folder / f"told-{rank}.txt").write_text(told.getvalue(), "utf-8")


def killed_while_writing(folder: Path, processes: Processes) -> None:
    """Go on to the state of step 4, while the second process writes its share of which it is killed."""
    if not processes.first:
        state_folder.write_shard = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    try:
        trained("lora", folder / "lora", 4, processes)
    except InputError as error:
        (folder / "told-killed.txt").write_text(str(error), "utf-8")


def furthest(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[key] - other[key]).abs().max()) for key in one)


def test_two_processes_then_one_then_two_give_what_one_gives(tmp_path: Path) -> None:
    """AdamW with parts, Muon with checkpointing, a LoRA with fewer samples than processes: losses and results within
    1e-6; so are validation and samples, which they share. Every process writes its own shares. Of the first two one is killed
    while it writes: the other says so, and no half state is left. The last two share the tokens of each sample. Then the
    command, as torchrun starts it.
    """
    latents(tmp_path / "data")
    for name in (*CONFIGS, "replicas"):
        (tmp_path / name).mkdir()
    context = multiprocessing.spawn(in_process, ((free_port(), free_port()), tmp_path, 2), nprocs=2, join=False)
    for process in context.processes:
        process.join()
    assert [process.exitcode for process in context.processes] == [0, -signal.SIGKILL]
    told = (tmp_path / "told-killed.txt").read_text("utf-8")
    assert "process 0 of 2, at step 4: another process ended" in told and "the same command goes on" in told
    assert [path.name for path in (tmp_path / "lora" / "states").iterdir()] == ["step-00000002"]
    for name in CONFIGS:
        torch.save(trained(name, tmp_path / name, 4, Processes()), tmp_path / name / "told-4.pt")
    multiprocessing.spawn(in_process, ((free_port(), free_port()), tmp_path, 6), nprocs=2)
    for name in CONFIGS:
        expected = trained(name, tmp_path / f"whole-{name}", 6, Processes())
        got: dict[str, float] = {}
        for until in (2, 4, 6):
            got |= torch.load(tmp_path / name / f"told-{until}.pt")
        light = {key: (got.pop(key), expected.pop(key)) for key in list(expected) if "sampled" in key}
        assert got == pytest.approx(expected, rel=1e-6) and len(got) == (6 + 3 * 9 if name == "adamw" else 6), name
        assert len(light) == (3 if name == "adamw" else 0)
        assert all(one == pytest.approx(other, rel=1e-3) and other > 0.1 for one, other in light.values()), light
        one, other = tmp_path / name, tmp_path / f"whole-{name}"
        assert furthest(torch.load(one / "result.pt"), torch.load(other / "result.pt")) <= 1e-6, name
        assert sorted(shard.name for shard in one.glob("states/*/*.safetensors")) == [shard_name(n, 2) for n in range(2)]
        states = [load_state(run, SIZES.to_json(), CONFIGS[name].lora) for run in (one, other)]
        if name == "muon":
            again = tmp_path / "replicas"
            assert torch.load(tmp_path / "told-replicas.pt") == pytest.approx(expected, rel=1e-6)
            assert furthest(torch.load(again / "result.pt"), torch.load(other / "result.pt")) <= 1e-6
            assert [shard.name for shard in again.glob("states/*/*.safetensors")] == [shard_name(0, 1)]
        if name == "lora":
            assert max(float(value.abs().max()) for key, value in states[0]["model"].items() if "lora_B" in key) > 1e-4
        for part in ("model", "ema"):
            assert furthest(*(state[part] for state in states if state is not None)) <= 1e-6, (name, part)
    assert "averaged weights" in (tmp_path / "told-0.txt").read_text("utf-8")
    assert (tmp_path / "told-1.txt").read_text("utf-8") == ""
    run = tmp_path / "command"
    assert (run / "log.jsonl").read_text("utf-8").count("\n") == 2 and (run / "weights.safetensors").is_file()


def test_what_does_not_go_in_several_processes_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "transformer", str(tmp_path), "--out", str(tmp_path / "run"), "--device", "cpu", "--memory", "12"]
    with monkeypatch.context() as two_of_them:
        two_of_them.setenv("WORLD_SIZE", "2")
        assert main(command) == 2
    assert "--memory plans one process; leave it out where several" in capsys.readouterr().err
    two = Processes(rank=0, count=2)
    for config, words in (
        (replace(PLAIN, optimizer="prodigy"), "was not tried in several processes; take adamw or muon"),
        (replace(PLAIN, optimizer="adamw_8bit"), "'adamw_8bit' was not tried in several processes"),
        (replace(PLAIN, lora=LoraConfig(), memory=MemoryConfig(streamed=True)), "are for one process"),
        (replace(PLAIN, lora=LoraConfig(), memory=MemoryConfig(base="fp8")), "are for one process"),
        (replace(PLAIN, memory=MemoryConfig(average_in_ram=True)), "are for one process"),
    ):
        with pytest.raises(InputError, match=words):
            check_sharded(config, True, two)
        check_sharded(config, True, Processes())
    with pytest.raises(InputError, match="against each other; train it in one process"):
        check_sharded(PLAIN, False, two)
    assert begin_processes("cpu", {}) == (Processes(), "cpu")
    with pytest.raises(InputError, match="start with torchrun"):
        begin_processes("cpu", {}, sequence=2)
    with pytest.raises(InputError, match="--replicas is of several processes; start with torchrun"):
        begin_processes("cpu", {}, replicas=2)
    with pytest.raises(InputError, match="--replicas is 3, expected a divisor of the number of processes, 4"):
        begin_processes("cpu", dict(zip(VARIABLES, ("0", "4", "0", "x", "1"), strict=True)), replicas=3)
    with pytest.raises(InputError, match="--sequence-shards is 3, expected a divisor of the number of processes, 4"):
        begin_processes("cpu", dict(zip(VARIABLES, ("0", "4", "0", "x", "1"), strict=True)), sequence=3)
    with pytest.raises(InputError, match="3 do not divide the 2 heads of the model; take one of 1, 2"):
        share_sequence(LumosXTransformer(SIZES), SequenceShards(None, 0, 3))
    with pytest.raises(
        InputError, match="variables RANK are set, but WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT are not"
    ):
        begin_processes("cpu", {"RANK": "0"})
    with pytest.raises(InputError, match="must be whole numbers"):
        begin_processes("cpu", dict.fromkeys(VARIABLES, "x"))
