"""Whether the prompt that is sampled is the one in which the references' words were found.

The levels of the words stand at places among the tokens: under another prompt they would strengthen other words, in silence.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from lumosx_core.errors import InputError, quoted
from lumosx_core.tokenizers import settled_text

from .comfy_tokenizer import plain_prompt
from .io_types import EncodedReferences

ADVICE = "give CLIP Text Encode the prompt that comes out of LumosX Relation Graph"


def check_prompts(prompts: Iterable[str], references: EncodedReferences) -> None:
    """Raises InputError if a text that is written into a CLIP Text Encode has other tokens than the references' prompt.
    Texts with weights are left to `check_conditioning`, since the host splits them at each."""
    if references.tokenizer is None or references.token_ids is None:
        return
    for prompt in prompts:
        try:
            text = plain_prompt(prompt)
        except InputError:
            continue
        if tuple(references.tokenizer.encode(settled_text(text))) != references.token_ids:
            raise InputError(f"positive is of another prompt than the references; {ADVICE}: it encodes {quoted(prompt)}")


def check_conditioning(parts: Sequence[Mapping[str, Any]], references: EncodedReferences) -> None:
    """Raises InputError, saying which, if a part of the prompt's conditioning, as the host samples it, has another number of
    tokens than the references' prompt. The host's UMT5 pads with zeros; what other nodes append comes after them and does not
    count. parts: with their hidden states [1, S, D] as "cross_attn"."""
    expected = None if references.token_ids is None else len(references.token_ids) + 1  # with the end token
    for number, part in enumerate(parts, start=1):
        states: torch.Tensor | None = part.get("cross_attn")
        if states is None or expected is None:
            continue
        padding = (~states[0].any(-1)).nonzero()
        tokens = int(padding[0]) if len(padding) else states.shape[1]
        if tokens != expected:
            name = f"part {number} of {len(parts)} of positive{_range(part)}" if len(parts) > 1 else "positive"
            raise InputError(
                f"{name} is of a prompt of {tokens} tokens, the words of the references were found in one of {expected}; "
                f"{ADVICE}"
            )


def _range(part: Mapping[str, Any]) -> str:
    start, end = part.get("start_percent"), part.get("end_percent")
    if start is None and end is None:
        return ""
    return f" (from {start or 0.0:g} to {1.0 if end is None else end:g} of the sampling)"
