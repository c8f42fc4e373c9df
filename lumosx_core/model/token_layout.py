"""Which tokens there are, where they sit, and what they may attend to (method: LumosX, arXiv 2603.20192).

The sequence is T video frames (of each of N videos), then one frame per reference: background, objects, then subject by
subject, face first.
All ablations of the relational mechanisms are switches of this layout (or a zero `text_levels`), nowhere else.

Legend: T, H, W = latent frames and token grid; N = videos; P = H*W tokens of a frame; R = references; L = (N * T + R) * P
tokens, less what is left out.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import torch

from lumosx_core.errors import InputError
from lumosx_core.model.cached_tables import cached_table
from lumosx_core.model.config import ROPE_TABLE_LENGTH
from lumosx_core.numbers import whole_number
from lumosx_core.references import ReferenceKind
from lumosx_core.text_spans import BoundReference

MAX_VIDEOS = 1024
LEAST_STRENGTH = 1e-3  # fp16 tells smaller weights from 0 only coarsely


class Rectangle(NamedTuple):
    """One block of allowed attention: queries q_start..q_stop see keys k_start..k_stop (ends exclusive)."""

    q_start: int
    q_stop: int
    k_start: int
    k_stop: int


class KeyRange(NamedTuple):
    """The keys start..stop (end exclusive), each counted `weight` times."""

    start: int
    stop: int
    weight: float


@dataclass(frozen=True)
class TokenLayout:
    """The arrangement of one sequence; hashable, so that tables made from it are cached.

    kinds[i], subjects[i]: kind and subject index (None for background and objects) of reference i in model order.
    relational_positions: rotary positions by subject (off: every image takes the next time index).
    causal_self_attention_mask: references see only their own group (off: full attention).
    strengths: how often the keys of each reference count (method.md section 15), at least 0; those below `LEAST_STRENGTH`
    count as 0. Empty where all are 1, as published.
    videos: so many videos of one prompt stand one after the other and share the references, whose rows see no video and are
    the same for all; no video sees another. Wants the causal self-attention mask.
    blank: of each reference one byte per token, 1 where it shows nothing and is left out of the sequence (method.md section
    16), not all of one reference. Empty where nothing is left out.
    regions: of each reference one byte per place of a frame, 1 where the video's tokens see its keys, or b"" for everywhere
    (method.md section 17). Empty where all are seen everywhere.
    Raises InputError if the order is wrong or a group does not fit the position tables.
    """

    frames: int
    height: int
    width: int
    kinds: tuple[ReferenceKind, ...] = ()
    subjects: tuple[int | None, ...] = ()
    relational_positions: bool = True
    causal_self_attention_mask: bool = True
    strengths: tuple[float, ...] = ()
    videos: int = 1
    blank: tuple[bytes, ...] = ()
    regions: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        whole_number(self.videos, "token layout: videos", least=1, most=MAX_VIDEOS)
        if self.videos > 1 and self.kinds and not self.causal_self_attention_mask:
            raise InputError(
                f"token layout: {self.videos} videos cannot share references that see the video (the causal self-attention "
                "mask is off); make one video at a time"
            )
        if min(self.frames, self.height, self.width) < 1:
            raise InputError(f"token layout: grid {(self.frames, self.height, self.width)}, expected at least 1 each")
        if len(self.kinds) != len(self.subjects):
            raise InputError(f"token layout: {len(self.kinds)} kinds but {len(self.subjects)} subjects")
        if self.strengths and len(self.strengths) != len(self.kinds):
            raise InputError(f"token layout: {len(self.kinds)} kinds but {len(self.strengths)} strengths")
        if not all(0 <= strength < math.inf for strength in self.strengths):
            raise InputError(f"token layout: strengths {self.strengths}, expected numbers of at least 0")
        if all(strength == 1 for strength in self.strengths):
            object.__setattr__(self, "strengths", ())  # equal to a layout without any: it takes the very same way
        self._check_blank()
        self._check_regions()
        self._check_order()
        self._check_tables()

    def _check_blank(self) -> None:
        if self.blank and len(self.blank) != len(self.kinds):
            raise InputError(f"token layout: {len(self.kinds)} kinds but {len(self.blank)} pictures with blank tokens")
        for marks in self.blank:
            if len(marks) != self.tokens_per_frame or not set(marks) <= {0, 1} or 0 not in marks:
                raise InputError(
                    f"token layout: blank tokens {marks[:20]!r}, expected {self.tokens_per_frame} bytes of 0 or 1, not all 1"
                )
        if not any(map(any, self.blank)):
            object.__setattr__(self, "blank", ())  # equal to a layout without any: it takes the very same way

    def _check_regions(self) -> None:
        if self.regions and len(self.regions) != len(self.kinds):
            raise InputError(f"token layout: {len(self.kinds)} kinds but {len(self.regions)} regions")
        for marks in self.regions:
            if marks and (len(marks) != self.tokens_per_frame or not set(marks) <= {0, 1} or 1 not in marks):
                raise InputError(
                    f"token layout: region {marks[:20]!r}, expected {self.tokens_per_frame} bytes of 0 or 1, not all 0"
                )
        if not any(0 in marks for marks in self.regions):
            object.__setattr__(self, "regions", ())  # equal to a layout without any: it takes the very same way

    def _check_order(self) -> None:
        rank = {"background": 0, "object": 1, "face": 2, "attribute": 2}
        ranks = [rank[kind] for kind in self.kinds]
        owners = [s for s in self.subjects if s is not None]
        owned_right = all((s is None) == (r < 2) for s, r in zip(self.subjects, ranks, strict=True))
        if ranks != sorted(ranks) or owners != sorted(owners) or not owned_right:
            raise InputError(
                f"token layout: references {list(zip(self.kinds, self.subjects, strict=True))} are out of order; expected "
                "background, objects, then subject by subject (ReferenceSet.references() gives that order)"
            )

    def _check_tables(self) -> None:
        longest = self.frames + len(self.kinds)
        groups = self.reference_groups if self.relational_positions else ()
        for start, stop in groups:
            if (stop - start) * max(self.height, self.width) > ROPE_TABLE_LENGTH:
                raise InputError(
                    f"subject {self.subjects[start]}: {stop - start} images on a grid of {self.height} x {self.width} tokens "
                    f"need more than the {ROPE_TABLE_LENGTH} positions of the tables; use fewer pictures or a smaller size"
                )
        if max(longest, self.height, self.width) > ROPE_TABLE_LENGTH:
            raise InputError(
                f"token layout: {longest} frames with references on a grid of {self.height} x {self.width} tokens exceed the "
                f"{ROPE_TABLE_LENGTH} positions of the tables; use a shorter or smaller video"
            )

    @staticmethod
    def for_references(
        grid: tuple[int, int, int],
        references: Sequence[BoundReference],
        *,
        relational_positions: bool = True,
        causal_self_attention_mask: bool = True,
        blank: tuple[bytes, ...] = (),
        regions: tuple[bytes, ...] = (),
    ) -> "TokenLayout":
        """The layout of a token grid (T, H, W) with these references in model order."""
        return TokenLayout(
            *grid,
            kinds=tuple(r.kind for r in references),
            subjects=tuple(r.subject for r in references),
            relational_positions=relational_positions,
            causal_self_attention_mask=causal_self_attention_mask,
            strengths=tuple(r.strength for r in references),
            blank=blank,
            regions=regions,
        )

    @property
    def tokens_per_frame(self) -> int:
        """P = H * W."""
        return self.height * self.width

    @property
    def video_len(self) -> int:
        """N * T * P: the videos' tokens come first."""
        return self.videos * self.frames * self.tokens_per_frame

    @property
    def reference_len(self) -> int:
        """R * P, less what is left out."""
        return sum(self.reference_lens)

    @property
    def reference_lens(self) -> tuple[int, ...]:
        """Tokens of each reference in the sequence."""
        p = self.tokens_per_frame
        return tuple(p - marks.count(1) for marks in self.blank) or (p,) * len(self.kinds)

    @property
    def reference_spans(self) -> tuple[tuple[int, int], ...]:
        """(start, stop) token range of each reference within the whole sequence."""
        return tuple(pairwise(accumulate(self.reference_lens, initial=self.video_len)))

    @property
    def seq_len(self) -> int:
        """L = (N * T + R) * P, less what is left out."""
        return self.video_len + self.reference_len

    def key_ranges(
        self, start: int = 0, stop: int | None = None, hidden: Collection[int] = frozenset()
    ) -> tuple[KeyRange, ...]:
        """The keys among start..stop (of the whole sequence) that count: the video's once each, those of a
        reference `strength` times; pictures of strength 0 are left out, and the `hidden` ones. Where nothing would be left,
        which is a group that nobody looks at, all of it counts once."""
        stop = self.seq_len if stop is None else stop
        if not self.strengths and not hidden:
            return (KeyRange(start, stop, 1.0),)
        weights = [0.0 if index in hidden else weight for index, weight in enumerate(self.strengths or [1.0] * len(self.kinds))]
        ranges: list[KeyRange] = []
        pieces = (((0, self.video_len), 1.0), *zip(self.reference_spans, weights, strict=True))
        for (first, last), weight in pieces:
            first, last = max(first, start), min(last, stop)
            if weight < LEAST_STRENGTH or first >= last:
                continue
            if ranges and ranges[-1][1:] == (first, weight):
                ranges[-1] = KeyRange(ranges[-1].start, last, weight)
            else:
                ranges.append(KeyRange(first, last, weight))
        return tuple(ranges) or (KeyRange(start, stop, 1.0),)

    @property
    def hidden_by_place(self) -> dict[frozenset[int], bytes]:
        """Which references the video's tokens do not see -> one byte per place of a frame, 1 where it is just these.
        Every place is in one of them."""
        p = self.tokens_per_frame
        marks = [region or bytes([1]) * p for region in self.regions]
        hidden = [frozenset(index for index, region in enumerate(marks) if not region[place]) for place in range(p)]
        return {each: bytes(each == of for of in hidden) for each in dict.fromkeys(hidden)}

    @property
    def reference_groups(self) -> tuple[tuple[int, int], ...]:
        """(first, last + 1) reference index of each group: one background or object, or all images of one subject."""
        groups: list[tuple[int, int]] = []
        for index, subject in enumerate(self.subjects):
            if subject is not None and index and self.subjects[index - 1] == subject:
                groups[-1] = (groups[-1][0], index + 1)
            else:
                groups.append((index, index + 1))
        return tuple(groups)

    @property
    def groups(self) -> tuple[tuple[int, int], ...]:
        """(start, stop) token range of each group within the whole sequence."""
        spans = self.reference_spans
        return tuple((spans[first][0], spans[last - 1][1]) for first, last in self.reference_groups)

    def self_attention_rectangles(self) -> tuple[Rectangle, ...]:
        """The causal self-attention mask as blocks: a video's rows see it and the references, each group sees itself."""
        if not self.causal_self_attention_mask:
            return (Rectangle(0, self.seq_len, 0, self.seq_len),)
        video: tuple[Rectangle, ...] = (Rectangle(0, self.video_len, 0, self.seq_len),)
        if self.videos > 1:
            length, end = self.video_len // self.videos, (self.video_len, self.seq_len)
            starts = range(0, self.video_len, length)
            video = tuple(Rectangle(a, a + length, *keys) for a in starts for keys in ((a, a + length), end))
        return video + tuple(Rectangle(start, stop, start, stop) for start, stop in self.groups)

    def positions(self) -> torch.Tensor:
        """int64 [L, 3]: relational rotary positions (t, y, x) of every token."""
        h, w = self.height, self.width
        frames = [(t, 0, 0) for t in range(self.frames)] * self.videos
        t = self.frames
        if self.relational_positions:
            for first, last in self.reference_groups:
                frames += [(t, j * h, j * w) for j in range(last - first)]
                t += 1
        else:
            frames += [(t + index, 0, 0) for index in range(len(self.kinds))]
        y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
        grid = torch.stack([torch.zeros_like(y), y, x], -1).reshape(1, h * w, 3)
        whole = (torch.tensor(frames)[:, None, :] + grid).reshape(-1, 3)
        kept = kept_tokens(self, whole.device)
        return whole if kept is None else whole[kept]


def kept_tokens(layout: TokenLayout, device: torch.device) -> torch.Tensor | None:
    """int64 [L]: which of the (N * T + R) * P tokens of whole frames are in the sequence; None where all are."""
    return _kept_tokens(layout, device) if layout.blank else None


@cached_table
def _kept_tokens(layout: TokenLayout, device: torch.device) -> torch.Tensor:
    left_out = np.frombuffer(bytes(layout.video_len) + b"".join(layout.blank), np.uint8)
    return torch.tensor(np.flatnonzero(left_out == 0), device=device)


def text_levels(references: Sequence[BoundReference], text_len: int) -> torch.Tensor:
    """float32 [R, text_len]: the multilevel cross-attention mask's level of each text token for each reference.

    Background or object: 1 in the spans of its own phrase. Image of a subject: 1 in the spans of any phrase of that
    subject, minus the mean of that over the other subjects. All of it times the reference's strength (method.md section 15).
    A zero tensor is the ablation without bias.
    An empty span owns nothing. Raises InputError if a span lies outside text_len.
    """
    own = torch.zeros(len(references), text_len)
    for row, reference in enumerate(references):
        for start, stop in reference.token_spans:
            if stop > text_len:
                raise InputError(
                    f"phrase {reference.phrase!r} is at tokens {start} to {stop}, but the model reads {text_len} tokens; "
                    "shorten the prompt"
                )
            own[row, start:stop] = 1
    subjects = sorted({r.subject for r in references if r.subject is not None})
    owned = {s: own[[k for k, r in enumerate(references) if r.subject == s]].amax(0) for s in subjects}
    total = sum(owned.values()) if owned else 0
    levels = own.clone()
    for row, reference in enumerate(references):
        if reference.subject is not None:
            mine = owned[reference.subject]
            levels[row] = mine if len(subjects) == 1 else mine - (total - mine) / (len(subjects) - 1)
        if reference.strength != 1:
            levels[row] *= reference.strength
    return levels
