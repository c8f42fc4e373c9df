"""The training loop."""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import autocast

from lumosx_core.errors import InputError
from lumosx_core.model.checkpoint import check_keys
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.objective import flow_matching_loss, sample_timesteps
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.training.config import TrainingConfig
from lumosx_core.training.finite import FiniteSteps, check_finite
from lumosx_core.training.grounding import NOBODY, GroundedAttention
from lumosx_core.training.latent_dataset import Batch, LatentDataset
from lumosx_core.training.optimizers import make_optimizers
from lumosx_core.training.resume import load_optimizer, load_state, save_state


def train(
    config: TrainingConfig,
    model_config: TransformerConfig,
    data: LatentDataset,
    folder: Path,
    *,
    device: str = "cpu",
    initial: dict[str, torch.Tensor] | None = None,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
) -> LumosXTransformer:
    """Train a transformer and return it with its averaged (EMA) weights.

    data: shards of latents. folder: gets `state.pt`; if it is there, the run goes on from it. device: "cpu" or "cuda".
    initial: weights to start from (Wan2.1 names) instead of fresh ones. on_step(step, figures) is called after every step
    with loss, gradient norm, rate and seconds; raising from it stops the run, the last checkpoint stays.

    A step whose loss or gradient is not finite is left out: weights, average and optimizer stay, the log says which samples it
    had, and its figures are what they are. Raises InputError after `config.skipped_in_a_row` such steps, for a state, data or
    initial weights that do not belong to the model or are not finite, and before a state that is not finite would be written.
    """
    data.check_model(model_config)
    _check_grounding(config, model_config)
    torch.manual_seed(config.seed)
    model = LumosXTransformer(model_config)
    model.initialize_weights()
    if initial is not None:
        check_keys("the weights to start from", initial, model.state_dict())
        check_finite(initial, "the weights to start from", "take others, or convert them again")
        model.load_state_dict(initial)
    model.to(device).train()
    model.gradient_checkpointing = config.gradient_checkpointing
    ema = {name: value.detach().clone() for name, value in model.state_dict().items()}
    optimizers = make_optimizers(model, config)

    first = _resume(folder / "state.pt", config, model_config, model, ema, optimizers)
    finite = FiniteSteps("training", config.skipped_in_a_row)
    for step in range(first, config.steps):
        started = time.monotonic()
        batch = data.batch(
            config.batch,
            config.seed,
            step,
            text_dropout=config.text_dropout,
            reference_dropout=config.reference_dropout,
            frames=config.frames,
        )
        generator = torch.Generator().manual_seed(hash((config.seed, step)) % 2**63)  # the same numbers after a resume
        timestep = sample_timesteps(config.batch, generator, config.timestep_shift).to(device)
        noise = torch.randn(batch.video.shape, generator=generator).to(device)
        references, context, levels = (x.to(device) for x in (batch.references, batch.context, batch.levels))
        weights = subject_weights(batch, config.subject_weight).to(device)
        attention = GroundedAttention(batch.layout) if config.grounding else None

        def velocity(noisy: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
            return model(noisy, t, context, references, batch.layout, levels, attention=attention)  # noqa: B023

        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = config.rate_at(step)
        with autocast(device, torch.bfloat16, enabled=config.precision == "bf16"):
            losses = flow_matching_loss(velocity, batch.video.to(device), noise, timestep, weights)
            loss = losses.mean()
        grounding = torch.zeros(())
        if attention is not None:
            grounding = attention.loss(batch.owners.to(device), config.grounding_blocks, config.grounding_heads)
        (loss + config.grounding * grounding).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        figures = {"loss": loss.item(), "norm": norm.item(), "rate": config.rate_at(step)}
        if attention is not None:
            figures["grounding"] = grounding.item()
        if finite.counts(step, figures, _blamed(batch, losses)):
            for optimizer in optimizers:
                optimizer.step()
            # The average starts short and grows, so that it forgets the random beginning.
            decay = min(config.ema_decay, (step + 1) / (step + 10))
            with torch.no_grad():
                current = model.state_dict()
                torch._foreach_lerp_(list(ema.values()), [current[name] for name in ema], 1 - decay)

        if (step + 1) % config.save_every == 0 or step + 1 == config.steps:
            save_state(
                folder / "state.pt",
                step=step + 1,
                config=config,
                model=model.state_dict(),
                ema=ema,
                optimizers=[optimizer.state_dict() for optimizer in optimizers],
                model_config=model_config.to_json(),
            )
            data.refresh()
        if on_step is not None:
            on_step(step, figures | {"seconds": time.monotonic() - started})

    model.load_state_dict(ema)
    return model.train(False)


def _resume(
    path: Path,
    config: TrainingConfig,
    model_config: TransformerConfig,
    model: LumosXTransformer,
    ema: dict[str, torch.Tensor],
    optimizers: list[torch.optim.Optimizer],
) -> int:
    """Put model, average and optimizers where the state file is, if there is one; the next step."""
    state = load_state(path, model_config.to_json())
    if state is None:
        return 0
    before = state["config"].get("optimizer")
    if before != config.optimizer or len(state["optimizers"]) != len(optimizers):
        raise InputError(
            f"{path} was trained with the optimizer {before!r}, this run has {config.optimizer!r}; choose another output folder"
        )
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        load_optimizer(optimizer, saved, path)
    model.load_state_dict(state["model"])
    for name, value in state["ema"].items():
        ema[name].copy_(value)
    return state["step"]


def _blamed(batch: Batch, losses: torch.Tensor) -> list[str]:
    """The samples whose own loss is not finite; all, if it is none of theirs (then a gradient or the model is at fault)."""
    spoilt = [name for name, right in zip(batch.samples, losses.isfinite().tolist(), strict=True) if not right]
    return spoilt or list(batch.samples)


def _check_grounding(config: TrainingConfig, model_config: TransformerConfig) -> None:
    if not config.grounding:
        return
    if max(config.grounding_blocks, default=0) >= model_config.num_layers or config.grounding_heads > model_config.num_heads:
        raise InputError(
            f"training: grounding of {config.grounding_heads} heads in the blocks {config.grounding_blocks}, but the model has "
            f"{model_config.num_heads} heads and the blocks 0 to {model_config.num_layers - 1}"
        )


def subject_weights(batch: Batch, weight: float) -> torch.Tensor:
    """float32 [B, 1, T, h, w], mean 1: the weight of the loss at every place of the batch's videos.

    Tokens that show a face, an attribute or an object weigh `weight` times as much as the rest, whose look is partly
    left open by the prompt: what cannot be known there only adds noise to the gradient.
    """
    scene = [index for index, kind in enumerate(batch.layout.kinds) if kind == "background"]
    others = torch.isin(batch.owners, torch.tensor([NOBODY, *scene], dtype=batch.owners.dtype))
    tokens = torch.where(others, 1.0, weight)
    return (tokens / tokens.mean()).repeat_interleave(2, 2).repeat_interleave(2, 3)[:, None]
