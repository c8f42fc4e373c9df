"""The sockets of this pack. Each docstring says what travels on it; all of it is plain data of `lumosx_core`."""

from dataclasses import dataclass

import torch
from comfy_api.latest import io
from PIL import Image

from lumosx_core.references import ReferenceKind, ReferenceSet
from lumosx_core.text_spans import BoundPrompt
from lumosx_core.tokenizers import Tokenizer


@dataclass(frozen=True, kw_only=True)
class FaceReference:
    """One person's face. `views`: the cropped face, one picture or several of the same person (the first one counts as the
    face; the others join the same subject as further pictures of it). strength: as in `lumosx_core.references.Attribute`."""

    views: tuple[Image.Image, ...]
    strength: float = 1.0


@dataclass(frozen=True, kw_only=True)
class RelationGraph:
    """Who owns which pictures and which words: the references, and the prompt bound to them (tags replaced) by the tokens
    of `tokenizer`."""

    references: ReferenceSet
    bound: BoundPrompt
    tokenizer: Tokenizer


@dataclass(frozen=True, kw_only=True)
class EncodedReferences:
    """References as the model takes them in.

    latents: raw VAE latents [R, 16, h, w], in model order (background, objects, then subject by subject, face first).
    kinds, subjects: of each, as in `TokenLayout`. levels: [R, S] from `text_levels`. frames: latent frames of the video
    that they were encoded for. token_ids: of the prompt that the levels are for, by `tokenizer`, without the end token; None
    if not known. strengths: of each, as in `TokenLayout`; empty where all are 1. blank: of each its tokens that show nothing
    but white, as in `TokenLayout`; they are there all the same unless a sampler leaves them out. regions: of each, as in
    `TokenLayout`; empty where nobody has one.
    """

    latents: torch.Tensor
    kinds: tuple[ReferenceKind, ...]
    subjects: tuple[int | None, ...]
    levels: torch.Tensor
    frames: int
    token_ids: tuple[int, ...] | None = None
    tokenizer: Tokenizer | None = None
    strengths: tuple[float, ...] = ()
    blank: tuple[bytes, ...] = ()
    regions: tuple[bytes, ...] = ()


Face = io.Custom("LUMOSX_FACE")
"""A `FaceReference`."""

AttributeSocket = io.Custom("LUMOSX_ATTRIBUTE")
"""A `lumosx_core.references.Attribute`: a cut-out on white and its phrase."""

SceneSocket = io.Custom("LUMOSX_SCENE")
"""A `lumosx_core.references.SceneReference`: an object or a background; which one, the input it is plugged into says."""

SubjectSocket = io.Custom("LUMOSX_SUBJECT")
"""A `lumosx_core.references.Subject`: one person with a name phrase, a face and attributes."""

SampleSocket = io.Custom("LUMOSX_SAMPLE")
"""A `lumosx_core.references.Sample`: a caption with all its people, objects and background."""

GraphSocket = io.Custom("LUMOSX_GRAPH")
"""A `RelationGraph`."""

ReferencesSocket = io.Custom("LUMOSX_REFERENCES")
"""`EncodedReferences`: the references as latents, with their layout and the levels of the words."""

AttentionSocket = io.Custom("LUMOSX_ATTENTION")
"""A `lumosx_core.model.attention_shares.AttentionRecord`, filled while sampling; None where nothing was to be recorded."""
