"""What comes into a node is what its schema promises, or an InputError says what is wrong, before anything is worked on.

The host checks only what is typed into a node; what comes over a link may be anything. Ranges stand once, in the schema.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from comfy_api.latest import io

from lumosx_core.errors import InputError, quoted
from lumosx_core.model.attention_shares import AttentionRecord
from lumosx_core.numbers import real_number, whole_number
from lumosx_core.packages import tell_missing_packages
from lumosx_core.references import LONGEST_PROMPT, Attribute, Sample, SceneReference, Subject, check_length

from .image_tensors import plain_number
from .io_types import EncodedReferences, FaceReference, RelationGraph

# Choices that are names of files: the node itself says where to get one that is gone.
FILES = ("pack", "sam", "sample", "file", "subject")
LONGEST_FILE_NAME = 200  # characters
SOCKETS: Mapping[str, type | tuple[type, ...]] = {
    "IMAGE": torch.Tensor,
    "MASK": torch.Tensor,
    "LUMOSX_FACE": FaceReference,
    "LUMOSX_ATTRIBUTE": Attribute,
    "LUMOSX_SCENE": SceneReference,
    "LUMOSX_SUBJECT": Subject,
    "LUMOSX_SAMPLE": Sample,
    "LUMOSX_GRAPH": RelationGraph,
    "LUMOSX_REFERENCES": EncodedReferences,
    "LUMOSX_ATTENTION": AttentionRecord,
}
# Sockets of the host whose classes differ from version to version: what the pack needs of them.
NEEDED = {"MODEL": ("clone", "model", "model_options"), "VAE": ("first_stage_model",), "CLIP": ("tokenizer",)}
_WHITE = "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85"  # control characters that count as spaces


def checked_inputs(execute: Callable[..., io.NodeOutput]) -> Callable[..., io.NodeOutput]:
    """Wraps a node's `execute(cls, ...)`: every value is checked by the input of that name in the schema, numbers arrive as int
    or float, and None for an optional input is its default. Raises InputError, naming the input; also for a package that is
    missing (`lumosx_core.packages`)."""
    names = execute.__code__.co_varnames[1 : execute.__code__.co_argcount]

    @functools.wraps(execute)
    def checked(cls: Any, *args: Any, **kwargs: Any) -> io.NodeOutput:
        given = {**dict(zip(names, args, strict=False)), **kwargs}
        schema = {item.id: item for item in cls.define_schema().inputs}
        wanted = {name: value for name, value in given.items() if value is not None or not schema[name].optional}
        with tell_missing_packages():
            return execute(cls, **{name: check_input(schema[name], value) for name, value in wanted.items()})

    return checked


def check_input(item: Any, value: Any) -> Any:
    """The value for an input of a schema; numbers as int or float. Raises InputError if it does not fit."""
    name = item.id
    if isinstance(item, io.Autogrow.Input):
        if value is not None and not isinstance(value, dict):
            raise InputError(f"{name} is {_kind(value)}, expected one value for each input that is connected")
        inside = item.template.input
        return {key: _check_socket(inside.io_type, each, key) for key, each in (value or {}).items() if each is not None}
    if isinstance(item, io.Int.Input):
        return whole_number(plain_number(value), name, least=item.min, most=item.max)
    if isinstance(item, io.Float.Input):
        return real_number(plain_number(value), name, least=item.min, most=item.max)
    if isinstance(item, io.Boolean.Input):
        plain = plain_number(value)
        if type(plain) not in (bool, int) or plain not in (0, 1):
            raise InputError(f"{name} is {_kind(value)}, expected true or false")
        return bool(plain)
    if isinstance(item, io.Combo.Input):
        return _check_choice(item, value)
    if isinstance(item, io.String.Input):
        return check_text(value, name)
    return _check_socket(item.io_type, value, name)


def check_text(value: Any, name: str) -> str:
    """The text. Raises InputError for anything else, for more than a prompt may have, and for characters that are no text."""
    if not isinstance(value, str):
        raise InputError(f"{name} is {_kind(value)}, expected text")
    check_length(value, name, LONGEST_PROMPT)
    for sign in value:
        code = ord(sign)
        control = code < 32 or 127 <= code < 160
        if (control and sign not in _WHITE) or 0xD800 <= code < 0xE000:
            raise InputError(f"{name} holds the character U+{code:04X}, which is no text ({quoted(value)}); remove it")
    return value


def _check_choice(item: Any, value: Any) -> str:
    if not isinstance(value, str):
        raise InputError(f"{item.id} is {_kind(value)}, expected one of {', '.join(item.options)}")
    if value not in item.options and (item.id not in FILES or len(value) > LONGEST_FILE_NAME):
        raise InputError(f"{item.id} is {quoted(value)}, expected one of {', '.join(item.options)}")
    return check_text(value, item.id)


def _check_socket(kind: str, value: Any, name: str) -> Any:
    fits, wanted = True, kind
    if kind in SOCKETS:
        fits = isinstance(value, SOCKETS[kind])
    elif kind in NEEDED:
        fits = all(hasattr(value, attribute) for attribute in NEEDED[kind])
    elif kind == "LATENT":
        fits, wanted = isinstance(value, dict) and isinstance(value.get("samples"), torch.Tensor), "LATENT of a video"
    elif kind == "CONDITIONING":
        fits = isinstance(value, (list, tuple)) and len(value) > 0 and all(map(_is_part, value))
        wanted = "CONDITIONING with at least one prompt in it"
    if not fits:
        raise InputError(f"{name} is {_kind(value)}, expected {wanted}; connect another output")
    return value


def _is_part(part: Any) -> bool:
    """Whether this is one prompt of a CONDITIONING: hidden states [B, S, D] and a dictionary."""
    if not isinstance(part, (list, tuple)) or len(part) != 2:
        return False
    states, more = part
    return isinstance(states, torch.Tensor) and states.ndim == 3 and 0 not in states.shape and isinstance(more, dict)


def _kind(value: Any) -> str:
    """What a value is, for messages, never all of it."""
    if value is None:
        return "empty"
    if isinstance(value, torch.Tensor):
        return f"a tensor of the shape {list(value.shape)}"
    return quoted(value) if isinstance(value, str) else f"a {type(value).__name__}"
