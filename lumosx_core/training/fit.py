"""A model made ready for its training: what is frozen, what learns beside it, and what makes it fit its card."""

from lumosx_core.model.low_memory import Ram, feed_forward_in_parts, keep_inputs_in_ram, store_frozen
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.training.config import TrainingConfig
from lumosx_core.training.lora import add_lora


def fit_model(model: LumosXTransformer, config: TrainingConfig, ram: Ram) -> None:
    """Change a model on the CPU that holds the weights to start from. ram: where what the card does not hold is kept."""
    memory = config.memory
    if config.lora is not None:
        if memory.base != "fp32" or memory.streamed:
            store_frozen(model, memory.base, ram if memory.streamed else None)
        add_lora(model, config.lora, config.seed)
    if memory.feed_forward_parts > 1:
        feed_forward_in_parts(model, memory.feed_forward_parts)
    model.gradient_checkpointing = config.gradient_checkpointing
    if memory.inputs_in_ram:
        keep_inputs_in_ram(model, ram)
