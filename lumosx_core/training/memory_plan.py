"""What a training needs on its card, told before anything is loaded; and the mildest choice that fits.

Nothing is estimated by formula but the optimizer: the forward and backward of the model itself run on tensors without content
at the true width, and every tensor is counted while it lives. From the third block on every block adds the same, so that three
and four blocks give all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from lumosx_core.data.latent_dataset import Batch
from lumosx_core.errors import InputError
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.devices import GIB
from lumosx_core.model.live_memory import LiveMemory
from lumosx_core.model.low_memory import NoRam
from lumosx_core.model.memory import USABLE, from_three_and_four
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.training.config import TrainingConfig
from lumosx_core.training.fit import fit_model
from lumosx_core.training.lora import trained_weights
from lumosx_core.training.losses import Draw, PublishedLoss
from lumosx_core.training.optimizers import OPTIMIZER_BYTES, OTHER_OPTIMIZER


@dataclass(frozen=True, kw_only=True)
class Need:
    """Bytes on the card. weights: of the model, factors of a LoRA included. average: of what learns, where it is on the card.
    optimizer: its state. work: what the largest moment of forward, backward and step needs beside these three. moment: which
    that is."""

    weights: int
    average: int
    optimizer: int
    work: int
    moment: str

    @property
    def peak(self) -> int:
        """All of it."""
        return self.weights + self.average + self.optimizer + self.work


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A training with its choice of what makes it fit, and what it needs."""

    config: TrainingConfig
    need: Need


def needed(model_config: TransformerConfig, config: TrainingConfig, layout: TokenLayout) -> Need:
    """What one step of that training needs on samples of that layout (latent sides 2 x the token grid).

    A step computes `micro_batch` samples at once, or the whole batch. Counted are the tensors that operations give: not
    the work space within a kernel, nor what the loading of the weights needs for a moment.
    """
    same = replace(config, optimizer="adamw", optimizer_options=(), memory=replace(config.memory, average_in_ram=False))

    def whole(name: str) -> int:
        return from_three_and_four(
            lambda count: getattr(_counted(replace(model_config, num_layers=count), same, layout), name),
            model_config.num_layers,
        )

    weights, learning = whole("weights"), whole("learning")
    keeps, works = OPTIMIZER_BYTES.get(config.optimizer, OTHER_OPTIMIZER)
    moments = {
        "forward": whole("forward"),
        "backward": whole("backward"),
        "step of the optimizer": int(learning * (4 + works)),  # gradients are there too
    }
    moment = max(moments, key=lambda name: moments[name])
    return Need(
        weights=weights,
        average=0 if config.memory.average_in_ram else 4 * learning,
        optimizer=int(keeps * learning),
        work=moments[moment],
        moment=moment,
    )


@dataclass(frozen=True, kw_only=True)
class _Counted:
    """Of a model of few blocks. weights: bytes; learning: numbers; forward, backward: bytes beside the weights at most."""

    weights: int
    learning: int
    forward: int
    backward: int


@lru_cache(maxsize=64)
def _counted(model_config: TransformerConfig, config: TrainingConfig, layout: TokenLayout) -> _Counted:
    with FakeTensorMode():
        model = LumosXTransformer(model_config)
        fit_model(model, config, NoRam())
        draw = _draw(model_config, config, layout)
        with LiveMemory() as memory:
            memory.hold(list(model.parameters()))
            weights = memory.live
            result = PublishedLoss()(model, draw)
            forward = memory.peak - weights
            memory.forget_peak()
            result.total.backward()
            backward = memory.peak - weights
        learning = sum(parameter.numel() for parameter in trained_weights(model).values())
        return _Counted(weights=weights, learning=learning, forward=forward, backward=backward)


def _draw(model_config: TransformerConfig, config: TrainingConfig, layout: TokenLayout) -> Draw:
    """Samples without content."""
    count, pictures = config.micro_batch or config.batch, len(layout.kinds)
    sides = (2 * layout.height, 2 * layout.width)
    video = torch.empty(count, model_config.in_dim, layout.frames, *sides)
    batch = Batch(
        video=video,
        references=torch.empty(count, pictures, model_config.in_dim, *sides),
        context=torch.empty(count, model_config.text_len, model_config.text_dim),
        levels=torch.empty(count, pictures, model_config.text_len),
        owners=torch.empty(count, layout.frames, layout.height, layout.width, dtype=torch.int8),
        layout=layout,
    )
    return Draw(batch=batch, noise=torch.empty_like(video), timestep=torch.empty(count), precision=config.precision)


def milder_to_harder(config: TrainingConfig) -> Iterator[TrainingConfig]:
    """The training itself, then with one thing more each time that saves memory, those that cost least time first."""
    yield config
    if not config.gradient_checkpointing:
        config = replace(config, gradient_checkpointing=True)
        yield config
    if config.batch > 1 and config.micro_batch != 1:
        config = replace(config, micro_batch=1)
        yield config
    frozen = config.lora is not None
    steps: list[dict[str, object]] = [{"base": "bf16"}] if frozen and config.precision == "bf16" else []
    steps += [{"average_in_ram": True}, {"inputs_in_ram": True}, {"feed_forward_parts": 8}]
    steps += [{"base": "fp8"}, {"streamed": True}] if frozen else []
    order = {"fp32": 0, "bf16": 1, "fp8": 2}
    for step in steps:
        memory = replace(config.memory, **step)  # type: ignore[arg-type]
        milder = order[memory.base] < order[config.memory.base] or memory.feed_forward_parts < config.memory.feed_forward_parts
        if milder or memory == config.memory:
            continue
        config = replace(config, memory=memory)
        yield config
    if config.optimizer == "adamw" and not frozen:  # of a LoRA it is little
        yield replace(config, optimizer="adamw_8bit")


def fitting(model_config: TransformerConfig, config: TrainingConfig, layout: TokenLayout, gib: float) -> Choice:
    """The mildest choice that fits a card of so many GiB, of which USABLE may be filled.

    Raises InputError, with the least that works and what else can be changed, if nothing does.
    """
    choices = list(milder_to_harder(config))
    low, high = 0, len(choices)  # everything before `low` is too large; what saves memory never needs more
    best: Choice | None = None
    while low < high:
        middle = (low + high) // 2
        choice = Choice(config=choices[middle], need=needed(model_config, choices[middle], layout))
        if choice.need.peak <= gib * GIB * USABLE:
            best, high = choice, middle
        else:
            low = middle + 1
    if best is not None:
        return best
    least = needed(model_config, choices[-1], layout)
    raise InputError(
        f"no plan fits {gib:g} GiB: with everything that saves memory this training needs {least.peak / GIB:.1f} GiB, so a "
        f"card of {least.peak / GIB / USABLE:.1f} GiB; train at fewer frames or a smaller size, a LoRA instead of all "
        "weights, or a LoRA of a smaller rank"
    )
