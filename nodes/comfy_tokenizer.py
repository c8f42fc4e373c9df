"""Prompts as the host's CLIP reads them: its SentencePiece vocabulary, and its signs for weights.

Relations are bound by token ids, so they must be found in exactly the ids that CLIP Text Encode produces. The host splits a
prompt at weights such as "(man:1.2)", and every part gets other ids: prompts with weights are refused. Inside this pack a
prompt is plain text; "\\(" and "\\)", the host's way to write a parenthesis, stand for one only on the way in and out.
"""

import re
from dataclasses import dataclass
from typing import Any

import comfy.sd1_clip
import comfy.text_encoders.spiece_tokenizer

from lumosx_core.errors import InputError, quoted
from lumosx_core.references import LONGEST_PROMPT, check_length
from lumosx_core.tokenizers import SentencePieceTokenizer

MOST_PARENTHESES = 100
UMT5 = "umt5xxl"  # how the host marks the tokenizer of Wan's text encoder
EMBEDDING = re.compile(r"(?:^|\s)(embedding:\S*)")  # what the host exchanges for a file of embeddings
WEIGHT = re.compile(r"(?<!\\)\(.*?(?<!\\)\)|(?<!\\)[()]", re.DOTALL)


@dataclass(frozen=True)
class PromptTokenizer:
    """The vocabulary of a CLIP. text_len: tokens that the model reads, the end token among them."""

    tokenizer: SentencePieceTokenizer
    text_len: int


def prompt_tokenizer(clip: Any) -> PromptTokenizer:
    """The vocabulary of a host CLIP. Raises InputError, naming what was loaded, unless it is Wan's UMT5 (or the nano one)."""
    outer = getattr(clip, "tokenizer", None)
    inner = getattr(outer, getattr(outer, "clip", ""), None)
    spiece = getattr(inner, "tokenizer", None)
    is_umt5 = getattr(inner, "embedding_key", None) == UMT5
    if inner is None or not is_umt5 or not isinstance(spiece, comfy.text_encoders.spiece_tokenizer.SPieceTokenizer):
        loaded = type(getattr(clip, "cond_stage_model", clip)).__name__
        raise InputError(
            f"this CLIP is {loaded}; LumosX reads prompts with Wan's text encoder: load umt5_xxl with Load CLIP and type "
            "'wan', or use the LumosX Nano node"
        )
    return PromptTokenizer(SentencePieceTokenizer(spiece.tokenizer.serialized_model_proto()), inner.min_length)


def plain_prompt(prompt: str) -> str:
    """The prompt with "\\(" as "(". Raises InputError for weights and embeddings, which would change the tokens."""
    check_length(prompt, "the prompt", LONGEST_PROMPT)
    if found := EMBEDDING.search(prompt):
        raise InputError(f"embeddings have no words that a subject could own; remove {quoted(found[1])} from the prompt")
    escaped = comfy.sd1_clip.escape_important(prompt)
    deep = escaped.count("(") > MOST_PARENTHESES  # the host reads parentheses inside parentheses by recursion
    if deep or comfy.sd1_clip.token_weights(escaped, 1.0) not in ([], [(escaped, 1.0)]):
        found = WEIGHT.search(prompt)
        raise InputError(
            f"ComfyUI reads {quoted(found[0] if found else '( )')} in the prompt as a weight, which splits the words that "
            "subjects own; write the word without weight, or \\( and \\) for plain parentheses"
        )
    return comfy.sd1_clip.unescape_important(escaped)


def host_prompt(text: str) -> str:
    """Plain text as CLIP Text Encode has to be given it, so that it finds no weights: the inverse of `plain_prompt`."""
    return text.replace("(", "\\(").replace(")", "\\)")
