"""The switches of the method (LumosX, arXiv 2603.20192) and what makes it cheaper; left alone they are as published."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

from lumosx_core.errors import InputError
from lumosx_core.model.relational_attention import PoolLayout
from lumosx_core.numbers import real_number, whole_number

MAX_RATIO = 1000.0  # far beyond every use
NegativeSpans = Literal["positive", "none"]
NegativeReferences = Literal["kept", "blank"]
BlankTokens = Literal["keep", "drop"]
MAX_REFRESH = 1000  # steps


@dataclass(frozen=True, kw_only=True)
class RelationalOptions:
    """Raises InputError on construction for values out of range.

    relational_positions: the pictures of a subject share a place in time (off: every picture takes the next one).
    causal_self_attention_mask: references see only their own group (off: everything sees everything). ratio: strength of the
    multilevel mask, None for the model's own. pool_layout: how its scores are pooled, "released" or "aligned".
    negative_spans: the negative pass keeps the bias of the "positive" prompt's words, or has "none". negative_references: it
    sees the references as published ("kept"), or "blank" ones. blank_tokens: tokens of references that show nothing but white
    are there ("keep"), or leave the sequence ("drop"). reference_refresh: the references are computed anew every so many
    steps. Both save time and change the video (method.md section 16).
    """

    relational_positions: bool = True
    causal_self_attention_mask: bool = True
    ratio: float | None = None
    pool_layout: PoolLayout = "released"
    negative_spans: NegativeSpans = "positive"
    negative_references: NegativeReferences = "kept"
    blank_tokens: BlankTokens = "keep"
    reference_refresh: int = 1

    def __post_init__(self) -> None:
        if self.ratio is not None:
            object.__setattr__(self, "ratio", real_number(self.ratio, "ratio", least=0, most=MAX_RATIO))
        check_choice(self.pool_layout, "pool_layout", get_args(PoolLayout))
        check_choice(self.negative_spans, "negative_spans", get_args(NegativeSpans))
        check_choice(self.negative_references, "negative_references", get_args(NegativeReferences))
        check_choice(self.blank_tokens, "blank_tokens", get_args(BlankTokens))
        refresh = whole_number(self.reference_refresh, "reference_refresh", least=1, most=MAX_REFRESH)
        object.__setattr__(self, "reference_refresh", refresh)


def check_choice(value: Any, name: str, choices: tuple[str, ...]) -> None:
    """Raises InputError, naming the choices, for a value that is none of them."""
    if value not in choices:
        raise InputError(f"{name} is {value!r}, expected {' or '.join(choices)}")
