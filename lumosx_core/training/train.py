"""The training loop. It knows a model, batches and a loss that is handed in, and nothing of where they come from."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lumosx_core.data.clip_dataset import ClipDataset
from lumosx_core.data.latent_dataset import LatentDataset
from lumosx_core.errors import InputError
from lumosx_core.model.checkpoint import check_keys
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.flow import sample_timesteps
from lumosx_core.model.lora import weights_digest
from lumosx_core.model.low_memory import HostRam
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.training.config import TrainingConfig
from lumosx_core.training.disk import check_disk, disk_need
from lumosx_core.training.ema import begin_average, move_average
from lumosx_core.training.figures import level_losses, speed_figures
from lumosx_core.training.fit import fit_model
from lumosx_core.training.guards import StepGuard, check_finite
from lumosx_core.training.lora import add_lora, put_weights, trained_weights
from lumosx_core.training.losses import Draw, Loss, PublishedLoss, StepLoss
from lumosx_core.training.optimizers import make_optimizers
from lumosx_core.training.parallelize import (
    ALONE,
    Processes,
    agreed,
    check_sharded,
    gathered,
    gone_told,
    local,
    shard_model,
    whole,
)
from lumosx_core.training.resume import load_optimizer, load_state, optimizer_words, save_state
from lumosx_core.training.samples import Samples
from lumosx_core.training.state_folder import remove_older
from lumosx_core.training.validate import Validation

Figures = dict[str, float]


def train(
    config: TrainingConfig,
    model_config: TransformerConfig,
    data: LatentDataset | ClipDataset,
    folder: Path,
    *,
    loss: Loss | None = None,
    validation: Validation | None = None,
    samples: Samples | None = None,
    device: str = "cpu",
    initial: dict[str, torch.Tensor] | None = None,
    on_step: Callable[[int, Figures], None] | None = None,
    processes: Processes = ALONE,
) -> LumosXTransformer:
    """Train a transformer and return it with its averaged (EMA) weights; with `config.lora` only factors beside them learn.

    data: shards of latents, or prepared clips. folder: gets `states`; if one is there, the run goes on from the last. loss:
    what is made small, by default the published one. validation: measured on the averaged weights, its figures join the step's.
    samples: videos generated with the averaged weights on the way, in `folder`; so do theirs.
    device: "cpu" or "cuda". initial: weights to start from (Wan2.1 names) instead of fresh ones; a LoRA needs them.
    on_step(step, figures) is called after every step with what `LoggedStep` tells; raising from it stops the run, its
    checkpoint stays. processes: of `begin_processes`, where several share the work; all call this with the same, each writes
    its own shares, and all get the whole result.

    A step whose loss or gradient is not finite, or whose loss is a spike, is left out: weights, average and optimizer stay, the
    log says which samples it had, its figures are what they are, with "skipped" 1. Raises InputError after too many such steps
    (`StepGuard`), naming the state to go on from; for a state, data or initial weights that do not belong to the model or are
    not finite; before a state that is not finite would be written; and at the start, if what the run writes would
    not fit on the disk (`disk.py`).
    """
    data.check_model(model_config)
    if samples is not None:
        samples.check_model(model_config)
    loss = loss or PublishedLoss()
    check_sharded(config, loss.in_parts, processes)
    run = _start(config, model_config, device, initial, processes)
    if config.micro_batch and not loss.in_parts:
        raise InputError(
            "training: micro_batch is asked for, but this loss weighs the samples of a batch against each other; set it to 0"
        )
    loss.check(run.model, gradient_checkpointing=config.gradient_checkpointing)
    with gone_told(processes, 0), agreed(processes):
        first = _resume(run, folder)
        if processes.first:
            remove_older(folder, config.keep_last, config.keep_every)  # a run that was killed may not have come to it
        check_disk(folder, config, disk_need(model_config, config, samples))
    with ThreadPoolExecutor(1) as reader:  # the next batch is read while a step is computed
        ahead: Future[Draw] | None = None
        for step in range(first, config.steps):
            started = time.monotonic()
            draw = (_draw(run, data, step) if ahead is None else ahead.result()).to(run.device)
            drawn, saves = time.monotonic(), (step + 1) % config.save_every == 0 or step + 1 == config.steps
            # Not over a save: there the data may grow, and a resumed run would read the next batch after it.
            ahead = None if saves else reader.submit(_draw, run, data, step + 1)
            with gone_told(processes, step + 1):
                figures = _step(run, step, draw, loss) | {"waited": drawn - started}
                figures |= speed_figures(draw, time.monotonic() - started)
                if saves:
                    _save(run, folder, step + 1)
                    data.refresh()
                if validation is not None and validation.is_due(step, config.steps):
                    figures |= validation.figures(run.model, run.ema, loss, precision=config.precision, processes=processes)
                if samples is not None and samples.is_due(step, config.steps):
                    figures |= samples.figures(
                        run.model, run.ema, folder, step + 1, precision=config.precision, processes=processes
                    )
            if on_step is not None:
                on_step(step, figures | {"seconds": time.monotonic() - started})
    with gone_told(processes, config.steps):
        return _result(run, initial)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What changes from step to step. ema: the averages of what learns, by name. base: digest of the frozen weights, or "".
    guard: which steps count. processes: who shares the work."""

    config: TrainingConfig
    model: LumosXTransformer
    ema: dict[str, torch.Tensor]
    optimizers: list[torch.optim.Optimizer]
    device: str
    base: str
    guard: StepGuard
    processes: Processes


def _start(
    config: TrainingConfig,
    model_config: TransformerConfig,
    device: str,
    initial: dict[str, torch.Tensor] | None,
    processes: Processes,
) -> _Run:
    """A run at its first step, from fresh or given weights."""
    if config.lora is not None and initial is None:
        raise InputError("a LoRA is trained beside weights that are there already; give the weights to start from (--initial)")
    torch.manual_seed(config.seed)
    model = LumosXTransformer(model_config)
    model.initialize_weights()
    if initial is not None:
        check_keys("the weights to start from", initial, model.state_dict())
        check_finite(initial, "the weights to start from", "take others, or convert them again")
        model.load_state_dict(initial)
    base = ""
    if config.lora is not None and initial is not None:
        base = weights_digest(initial)
    fit_model(model, config, HostRam(device))
    shard_model(model, processes, device)
    model.to(device).train()
    ema = begin_average(trained_weights(model), in_ram=config.memory.average_in_ram)
    return _Run(
        config=config,
        model=model,
        ema=ema,
        optimizers=make_optimizers(model, config),
        device=device,
        base=base,
        guard=StepGuard("training", config.skipped_in_a_row, spike=config.spike, spikes_allowed=config.spikes_allowed),
        processes=processes,
    )


def _resume(run: _Run, folder: Path) -> int:
    """Put a run where its last state is, if there is one; the next step."""
    targets = {f"{part}.{name}": value for name, value in trained_weights(run.model).items() for part in ("model", "ema")}
    for number, optimizer in enumerate(run.optimizers):
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        targets |= {f"optimizers.{number}.state.{index}": value for index, value in enumerate(parameters)}
    state = load_state(folder, run.model.config.to_json(), run.config.lora, targets)
    if state is None:
        return 0
    path = state["path"]
    if state["base"] != run.base:
        raise InputError(
            f"{path} was trained beside the weights {state['base'] or '(none)'}, this run starts from {run.base}; give the "
            "weights that it was begun with, or choose another output folder"
        )
    before, now = optimizer_words(state["config"]), optimizer_words(asdict(run.config))
    if before != now or len(state["optimizers"]) != len(run.optimizers):
        raise InputError(f"{path} was trained with the optimizer {before}, this run has {now}; choose another output folder")
    for optimizer, saved in zip(run.optimizers, state["optimizers"], strict=True):
        load_optimizer(optimizer, saved, path)
    put_weights(run.model, state["model"])
    for name, value in state["ema"].items():
        local(run.ema[name]).copy_(value)
    run.guard.resume(state["guard"], str(path))
    _name_state(run, path, state["step"])
    return state["step"]


def _draw(run: _Run, data: LatentDataset | ClipDataset, step: int) -> Draw:
    """What a step learns from, on the CPU: a function of the seed and the step alone, so that a resumed run sees the same."""
    config = run.config
    batch = data.batch(
        config.batch,
        config.seed,
        step,
        text_dropout=config.text_dropout,
        reference_dropout=config.reference_dropout,
        frames=config.frames,
    )
    generator = torch.Generator().manual_seed(hash((config.seed, step)) % 2**63)
    timestep = sample_timesteps(len(batch.video), generator, config.timestep_shift, config.timesteps)
    noise = torch.randn(batch.video.shape, generator=generator)
    return Draw(batch=batch, noise=noise, timestep=timestep, precision=config.precision)


def _step(run: _Run, step: int, draw: Draw, loss: Loss) -> Figures:
    """One step of the optimizers and of the average, left out if the guard says so; its figures."""
    rate = run.config.rate_at(step)
    for optimizer in run.optimizers:
        optimizer.zero_grad(set_to_none=True)
        for group in optimizer.param_groups:
            group["lr"] = rate
    own, share = run.processes.share(draw)
    result = _gradients(run, own, loss, share, run.processes.rounds(draw, run.config.micro_batch))
    norm = whole(torch.nn.utils.clip_grad_norm_(trained_weights(run.model).values(), run.config.clip_norm))
    told = {"loss": result.samples.mean(), **result.figures}
    figures = run.processes.sum({name: value.item() * share for name, value in told.items()})
    figures = {"loss": figures.pop("loss"), "norm": norm.item(), "rate": rate} | figures
    samples = run.processes.together(dict(zip(own.batch.samples, result.samples.tolist(), strict=True)))
    losses = run.processes.in_order(result.samples, len(draw.timestep))
    figures |= level_losses(draw.timestep, losses)
    counts = run.guard.counts(step, figures, samples, level=float(draw.timestep.mean()) / 1000)
    if counts:
        for optimizer in run.optimizers:
            optimizer.step()
        move_average(run.ema, trained_weights(run.model), run.config.ema_decay, step)
    return figures | {"skipped": float(not counts)}


def _gradients(run: _Run, draw: Draw, loss: Loss, share: float, rounds: int) -> StepLoss:
    """Gradients of this process's samples, which are `share` of the whole draw, computed in so many parts; their loss."""
    parts = draw.parts(run.config.micro_batch)
    shares = [len(part.timestep) / len(draw.timestep) for part in parts]
    done: list[StepLoss] = []
    for number in range(rounds):
        part = parts[number] if number < len(parts) else parts[0]  # processes with fewer samples go along, for nothing
        result = loss(run.model, part)
        # Gradients are averaged over the processes, and should be those of the mean over all samples.
        factor = shares[number] * share * run.processes.count if number < len(parts) else 0.0
        (result.total if factor == 1 else result.total * factor).backward()
        figures = {name: value.detach() for name, value in result.figures.items()}
        done.append(StepLoss(total=result.total.detach(), samples=result.samples.detach(), figures=figures))
    done = done[: len(parts)]
    if len(done) == 1:
        return done[0]
    return StepLoss(
        total=torch.stack([s * part.total for s, part in zip(shares, done, strict=True)]).sum(),
        samples=torch.cat([part.samples for part in done]),
        figures={
            name: sum((s * part.figures[name] for s, part in zip(shares, done, strict=True)), torch.zeros(()))
            for name in done[0].figures
        },
    )


def _save(run: _Run, folder: Path, step: int) -> None:
    path = save_state(
        folder,
        step=step,
        config=run.config,
        model=trained_weights(run.model),
        ema=run.ema,
        optimizers=[optimizer.state_dict() for optimizer in run.optimizers],
        model_config=run.model.config.to_json(),
        base=run.base,
        guard=run.guard.state(),
        processes=run.processes,
    )
    _name_state(run, path, step)


def _name_state(run: _Run, path: Path, step: int) -> None:
    """For the message of a run that is stopped."""
    run.guard.saved = f"{path} of step {step}"


def _result(run: _Run, initial: dict[str, torch.Tensor] | None) -> LumosXTransformer:
    """The model with the averages as its weights, whole."""
    model = run.model
    if run.processes.count > 1:
        model = LumosXTransformer(run.model.config)
        if run.config.lora is not None and initial is not None:
            model.load_state_dict(initial)
            add_lora(model, run.config.lora)
    put_weights(model, gathered(run.ema) if run.processes.count > 1 else run.ema)
    return model.train(False)
