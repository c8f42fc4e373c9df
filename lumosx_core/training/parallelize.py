"""A training in several processes, as torchrun starts them: every process has a share of each batch and of every tensor that
learns (FSDP2, torch.distributed.fsdp.fully_shard).

What a step learns from is a function of the seed, the step and the place in the whole batch, and so the same for any number of
processes. Every process writes its own shares of a state (`state_folder.py`); a run goes on with any number of processes.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor

from lumosx_core.errors import InputError
from lumosx_core.model.devices import is_cuda
from lumosx_core.model.sequence_shards import SequenceShards, share_sequence
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.training.config import TrainingConfig
from lumosx_core.training.losses import Draw

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")  # that torchrun sets
PATIENCE_S = 600  # a process that is not heard of for so long ends the run
SHARDED_OPTIMIZERS = ("adamw", "muon")  # tried on shares of tensors


@dataclass(frozen=True, kw_only=True)
class Processes:
    """Which process of how many this is. rank: from 0. sequence: so many neighbouring ones share the tokens of their samples
    (`model/sequence_shards.py`); group: of torch.distributed, those that this one shares with. replicas: so many times
    all tensors are there, each time in shares of count / replicas neighbouring processes (a 2-D mesh)."""

    rank: int = 0
    count: int = 1
    sequence: int = 1
    group: Any = None
    replicas: int = 1

    @property
    def shards(self) -> int:
        """In how many shares a tensor is kept."""
        return self.count // self.replicas

    @property
    def writes(self) -> bool:
        """Whether this process has shares that a state needs: those of the first replica are enough."""
        return self.rank < self.shards

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and tells."""
        return self.rank == 0

    def share(self, draw: Draw) -> tuple[Draw, float]:
        """This process's samples of a whole draw, and what part of the whole they are. Where there are fewer samples than
        processes, the last ones compute the first sample, as part 0: all take the same steps."""
        total = len(draw.timestep)
        parts, own = draw.parts(self._each(total)), self.rank // self.sequence
        if own < len(parts):
            return parts[own], len(parts[own].timestep) / total
        return parts[0], 0.0

    def _each(self, total: int) -> int:
        """How many of so many samples are computed by processes that share their tokens, at most."""
        return -(-total // (self.count // self.sequence))

    def rounds(self, draw: Draw, size: int) -> int:
        """In how many parts of at most `size` samples (0: all) every process computes its share of a whole draw."""
        return -(-self._each(len(draw.timestep)) // size) if size else 1

    def sum(self, values: Mapping[str, float]) -> dict[str, float]:
        """Sums over all samples of what every process has of its own, by name; all have the same names."""
        if self.count == 1:
            return dict(values)
        sums = torch.tensor(list(values.values()), dtype=torch.float64)
        every = [torch.empty_like(sums) for _ in range(self.count)]
        dist.all_gather(every, sums)
        return dict(zip(values, torch.stack(every[:: self.sequence]).sum(0).tolist(), strict=True))

    def in_order(self, own_B: torch.Tensor, total: int) -> torch.Tensor:
        """Values of each process's samples as those of the whole draw of `total` samples."""
        if self.count == 1:
            return own_B
        padded = torch.zeros(self._each(total), dtype=torch.float64)
        padded[: len(own_B)] = own_B.detach().double().cpu()
        every = [torch.empty_like(padded) for _ in range(self.count)]
        dist.all_gather(every, padded)
        return torch.cat(every[:: self.sequence])[:total]

    def of_first(self, value: Any) -> Any:
        """What the first process has, in all of them."""
        if self.count == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            dist.barrier()

    def together(self, samples: dict[str, float]) -> dict[str, float]:
        """The entries of all processes, in their order."""
        if self.count == 1:
            return samples
        every: list[dict[str, float]] = [{} for _ in range(self.count)]
        dist.all_gather_object(every, samples)
        return {name: value for one in every for name, value in one.items()}


ALONE = Processes()


@contextmanager
def agreed(processes: Processes) -> Iterator[None]:
    """A block that all processes do or none: where one of them raises InputError, all do."""
    fault: InputError | None = None
    try:
        yield
    except InputError as error:
        fault = error
    faults: list[str] = [str(fault or "")]
    if processes.count > 1:
        faults = [""] * processes.count
        dist.all_gather_object(faults, str(fault or ""))
    if fault is not None:
        raise fault
    for rank, told in enumerate(faults):
        if told:
            raise InputError(f"process {rank} of {processes.count}: {told}")


def gone_told(processes: Processes, step: int) -> AbstractContextManager[None]:
    """A block of one step of a training, counted from 1, as `loss_told`."""
    goes_on = "The last state is whole, and the same command goes on from it, with any number of processes"
    return loss_told(processes, f"at step {step}", goes_on)


@contextmanager
def loss_told(processes: Processes, doing: str, goes_on: str) -> Iterator[None]:
    """A block in which it is told if another process is gone: raises InputError instead of what the library that carries the
    exchange raises. goes_on: what is left, and what to do."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if processes.count == 1 or not any(word in text.lower() for word in ("gloo", "nccl", "connection", "timed out")):
            raise
        raise InputError(
            f"process {processes.rank} of {processes.count}, {doing}: another process ended, or was not heard of for "
            f"{PATIENCE_S} seconds ({text.strip().splitlines()[0][:160]}); its own messages say why. {goes_on}"
        ) from error


def begin_processes(
    device: str, environment: Mapping[str, str], sequence: int | None = 1, replicas: int = 1
) -> tuple[Processes, str]:
    """Join the processes that torchrun started, and the device of this one; a process on its own where it did not.

    environment: the variables of this process, of which VARIABLES are read. sequence: so many neighbouring processes share the
    tokens of their samples (None: all of them). replicas: so many times the tensors are kept.

    Raises InputError if torchrun's variables are half set, for fewer cards than processes, a number of sequence shards or
    replicas that does not divide the processes, and if the others cannot be reached.
    """
    there = [name for name in VARIABLES if environment.get(name)]
    if not there:
        if sequence not in (None, 1) or replicas != 1:
            name = "--replicas" if replicas != 1 else "--sequence-shards"
            raise InputError(f"{name} is of several processes; start with torchrun --nproc_per_node N -m lumosx_core ...")
        return ALONE, device
    missing = [name for name in VARIABLES if name not in there]
    if missing:
        raise InputError(
            f"of torchrun's variables {', '.join(there)} are set, but {', '.join(missing)} are not; start with torchrun "
            "--nproc_per_node N -m lumosx_core ..."
        )
    try:
        rank, count, local = (int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    except ValueError as error:
        raise InputError(f"torchrun's variables RANK, WORLD_SIZE and LOCAL_RANK must be whole numbers ({error})") from error
    sequence = count if sequence is None else sequence
    if sequence < 1 or count % sequence:
        raise InputError(f"--sequence-shards is {sequence}, expected a divisor of the number of processes, {count}")
    if replicas < 1 or count % replicas:
        raise InputError(f"--replicas is {replicas}, expected a divisor of the number of processes, {count}")
    if count == 1:
        return ALONE, device
    cards = is_cuda(device)
    if cards and local >= torch.cuda.device_count():
        raise InputError(f"process {local} of this machine has no card, it has {torch.cuda.device_count()}; start fewer")
    if cards:
        device = f"cuda:{local}"
        torch.cuda.set_device(device)
    try:
        # The second word is for what lies in the machine's memory: figures, and averages that are kept there.
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if cards else "gloo",
            init_method=f"tcp://{environment['MASTER_ADDR']}:{environment['MASTER_PORT']}",
            rank=rank,
            world_size=count,
            timeout=timedelta(seconds=PATIENCE_S),
        )
    except (RuntimeError, ValueError) as error:
        raise InputError(f"process {rank} of {count} cannot reach the others ({error})") from error
    patience = timedelta(seconds=PATIENCE_S)  # the library has another one for new groups
    groups = [dist.new_group(list(range(first, first + sequence)), patience) for first in range(0, count, sequence)]
    return Processes(rank=rank, count=count, sequence=sequence, group=groups[rank // sequence], replicas=replicas), device


def end_processes(processes: Processes) -> None:
    """Leave the group; nothing for a process on its own."""
    if processes.count > 1:
        dist.destroy_process_group()


def shard_model(model: LumosXTransformer, processes: Processes, device: str) -> None:
    """Leave this process its share of every parameter, block by block; they are whole only while a block computes. Nothing
    for a process on its own. All numbers keep their types: autocast chooses those of the arithmetic."""
    if processes.count == 1:
        return
    if processes.sequence > 1:
        share_sequence(model, SequenceShards(processes.group, processes.rank % processes.sequence, processes.sequence))
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    # It is not changed in place, of which this warns at every step.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    kind, sides, names = "cuda" if is_cuda(device) else "cpu", (processes.replicas, processes.shards), ("replica", "shard")
    two_sides = processes.replicas > 1
    mesh = init_device_mesh(kind, sides if two_sides else sides[1:], mesh_dim_names=names if two_sides else names[1:])
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def leave_shares(model: nn.Module) -> None:
    """Leave this process its shares again after a forward that no backward follows, which keeps the outermost weights whole."""
    from torch.distributed.fsdp import FSDPModule

    if isinstance(model, FSDPModule):
        model.reshard()


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor, gathered from all processes, which all ask for it."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def local(tensor: torch.Tensor) -> torch.Tensor:
    """This process's share of a tensor, sharing its memory."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def gathered(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """All tensors whole, on the CPU; every process asks for it."""
    return {name: whole(value.detach()).cpu() for name, value in tensors.items()}


def own_rows(target: torch.Tensor) -> tuple[int, int] | None:
    """The rows of a tensor in shares that this process keeps, as (first, one past the last); None for one that is whole. Shares
    are those of `fully_shard`: equal, but for the last ones."""
    if not isinstance(target, DTensor):
        return None
    total, mesh = target.shape[0], target.device_mesh
    last = mesh.ndim - 1  # of a 2-D mesh the other side is that of the replicas
    share = -(-total // mesh.size(last))
    first = min(mesh.get_local_rank(last) * share, total)
    return first, min(first + share, total)


def own_share(value: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Of a whole tensor what this process keeps of `target`; anything of another shape as it is."""
    rows = own_rows(target)
    return value if rows is None or value.shape != target.shape else value[rows[0] : rows[1]]


def like(share: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """This process's share of a tensor (`own_share`) as `target` is kept."""
    if not isinstance(target, DTensor) or isinstance(share, DTensor):
        return share
    return DTensor.from_local(
        share.to(target.device),
        target.device_mesh,
        target.placements,
        run_check=False,
        shape=target.shape,
        stride=target.stride(),
    )


def check_sharded(config: TrainingConfig, in_parts: bool, processes: Processes) -> None:
    """Raises InputError for a training that does not go in several processes."""
    if processes.count == 1:
        return
    if config.optimizer not in SHARDED_OPTIMIZERS:
        raise InputError(
            f"training: optimizer {config.optimizer!r} was not tried in several processes; take "
            f"{' or '.join(SHARDED_OPTIMIZERS)}"
        )
    if config.memory.average_in_ram or config.memory.streamed or config.memory.base == "fp8":
        raise InputError(
            "training: average_in_ram, streamed and base=fp8 are for one process; shares of tensors take less already"
        )
    if not in_parts:
        raise InputError("training: this loss weighs the samples of a batch against each other; train it in one process")
