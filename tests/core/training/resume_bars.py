"""Does a training go on exactly, with another number of processes and after a kill at any moment?

    python -m tests.core.training.resume_bars [--kills 10] [--only adamw muon lora kills]

For AdamW, Muon and a LoRA: 30 steps as 10 with two processes, 10 with one and 10 with two, against 30 of one. Told are the
largest relative difference of a loss, and the largest difference of a weight and of the average. Then a training with the
command, as torchrun starts it, with a state after every step; one of its two processes is killed (SIGKILL) at a random
moment, every other time while a state is being written, and the same command is given again. After the kills it ends, and
its weights and average are compared with those of a training that nobody disturbed.

Bars: 1e-6 each; after every kill the last state is whole and the other process ends by itself. Exit status 1 if one is missed.
"""

import argparse
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
import torch.multiprocessing as multiprocessing

from lumosx_core.cli.main import main as lumosx
from lumosx_core.data.latent_dataset import LatentDataset
from lumosx_core.model.config import PRESETS
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.training.config import LoraConfig, TrainingConfig
from lumosx_core.training.parallelize import VARIABLES, Processes, begin_processes, end_processes
from lumosx_core.training.resume import load_state
from lumosx_core.training.state_folder import last_state
from lumosx_core.training.train import train
from tests.core.training.test_recipes import latents

BAR, STEPS, KILLED_STEPS = 1e-6, 30, 40
SIZES = PRESETS["debug_64"]
PLAIN = TrainingConfig(steps=STEPS, batch=3, learning_rate=1e-3, warmup_steps=3, save_every=5, text_dropout=0.2)
CONFIGS = {"adamw": PLAIN, "muon": replace(PLAIN, optimizer="muon"), "lora": replace(PLAIN, lora=LoraConfig(rank=4))}


class StopError(Exception):
    """Ends a training after a step."""


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def environment(rank: int, port: int) -> dict[str, str]:
    """The variables that torchrun sets for one of two processes."""
    return dict(zip(VARIABLES, map(str, (rank, 2, rank, "127.0.0.1", port)), strict=True))


def part(name: str, folder: Path, until: int, processes: Processes) -> dict[int, float]:
    """Train until that step is done; the losses by step."""
    losses: dict[int, float] = {}

    def on_step(step: int, figures: dict[str, float]) -> None:
        losses[step] = figures["loss"]
        if step + 1 == until < STEPS:
            raise StopError

    initial = None
    if CONFIGS[name].lora is not None:
        torch.manual_seed(1)
        model = LumosXTransformer(SIZES)
        model.initialize_weights()
        torch.nn.init.normal_(model.head.head.weight, std=0.1)  # fresh ones are zero, and nothing before them would learn
        initial = model.state_dict()
    data = LatentDataset(folder.parent / "data")
    with contextlib.suppress(StopError):
        train(CONFIGS[name], SIZES, data, folder, on_step=on_step, processes=processes, initial=initial)
    return losses


def in_process(rank: int, port: int, name: str, folder: Path, until: int) -> None:
    """One of two processes of a part."""
    torch.set_num_threads(1)
    processes, _ = begin_processes("cpu", environment(rank, port))
    losses = part(name, folder, until, processes)
    if processes.first:
        torch.save(losses, folder / f"losses-{until}.pt")
    end_processes(processes)


def furthest(one: Path, other: Path, lora: LoraConfig | None = None) -> float:
    """The largest difference of a weight or an average between the last states of two runs."""
    states = [load_state(run, SIZES.to_json(), lora) for run in (one, other)]
    assert states[0] is not None and states[1] is not None and states[0]["step"] == states[1]["step"]
    pairs = [(states[0][kind], states[1][kind]) for kind in ("model", "ema")]
    return max(float((a[key] - b[key]).abs().max()) for a, b in pairs for key in a)


def resumed(name: str, folder: Path) -> tuple[float, float]:
    """(largest relative difference of a loss, largest difference of a weight or average)."""
    run, whole = folder / name, folder / f"whole-{name}"
    losses: dict[int, float] = {}
    for until, count in ((10, 2), (20, 1), (STEPS, 2)):
        if count == 1:
            losses |= part(name, run, until, Processes())
            continue
        run.mkdir(exist_ok=True)
        multiprocessing.spawn(in_process, (free_port(), name, run, until), nprocs=2)
        losses |= torch.load(run / f"losses-{until}.pt")
    expected = part(name, whole, STEPS, Processes())
    assert losses.keys() == expected.keys()
    return max(abs(losses[step] / expected[step] - 1) for step in expected), furthest(run, whole, CONFIGS[name].lora)


def command(data: Path, run: Path) -> list[str]:
    """The training that is killed."""
    numbers = ["--steps", str(KILLED_STEPS), "--set", "save_every=1", "--set", "optimizer=muon", "--batch", "3"]
    return ["train", "transformer", str(data), "--out", str(run), "--device", "cpu", "--recipe", "debug", *numbers]


def start(data: Path, run: Path) -> list[subprocess.Popen]:
    """The two processes of the command."""
    port = free_port()
    words = [sys.executable, "-m", "lumosx_core", *command(data, run)]
    return [
        subprocess.Popen(
            words,
            env=os.environ | environment(rank, port) | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]


def kill_one(both: list[subprocess.Popen], run: Path, chance: random.Random, *, writing: bool) -> str:
    """Kill one of two processes once the training is on its way; what was seen, in words."""
    before = last_state(run)
    while last_state(run) == before and all(process.poll() is None for process in both):
        time.sleep(0.02)
    time.sleep(chance.uniform(0, 1))
    half = False
    while writing and not half and all(process.poll() is None for process in both):
        half = any((run / "states").glob(".step-*.partial*"))
    rank = chance.randrange(2)
    both[rank].send_signal(signal.SIGKILL)
    errors = [process.communicate(timeout=120)[1] for process in both]
    other = both[1 - rank]
    assert other.returncode in (0, 2) and "Traceback" not in errors[1 - rank], errors[1 - rank]
    state = last_state(run)
    assert state is not None and load_state(run, SIZES.to_json()) is not None
    moment = " while writing" if half else ""
    return f"process {rank} killed{moment}, the other ended with {other.returncode}; {state.name} is whole"


def killed(folder: Path, kills: int) -> float:
    """The largest difference of a weight or average after so many kills."""
    data, run, whole = folder / "data", folder / "killed", folder / "undisturbed"
    chance = random.Random(5)
    for number in range(kills):
        state = last_state(run)
        if state is not None and state.name == f"step-{KILLED_STEPS:08d}":
            sys.stdout.write(f"kill {number}: the training had ended before\n")
            break
        told = kill_one(start(data, run), run, chance, writing=number % 2 == 1)
        sys.stdout.write(f"kill {number + 1}: {told}\n")
        sys.stdout.flush()
    both = start(data, run)
    errors = [process.communicate(timeout=600)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    assert lumosx(command(data, whole)) == 0
    return furthest(run, whole)


def main() -> int:
    """The long form."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--only", nargs="+", choices=(*CONFIGS, "kills"), default=[*CONFIGS, "kills"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    worst = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        latents(folder / "data")
        for what in options.only:
            if what == "kills":
                weights = killed(folder, options.kills)
                sys.stdout.write(f"after the kills: weights and average {weights:.1e}\n")
                worst = max(worst, weights)
                continue
            loss, weights = resumed(what, folder)
            sys.stdout.write(f"{what:<6} losses {loss:.1e}, weights and average {weights:.1e}\n")
            sys.stdout.flush()
            worst = max(worst, loss, weights)
    return 0 if worst <= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
