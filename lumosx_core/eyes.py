"""What is seen in a picture, and the protocols of whatever sees it: detectors of real photographs and of the puppet world.

Legend: H, W = pixels of the picture. A box is (left, top, right, bottom) in pixels of the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from PIL import Image

Box = tuple[float, float, float, float]
Point = tuple[float, float]
Mark = tuple[Box, str, Literal["plain", "quiet", "doubtful"]]  # a box to draw, its words, and how


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """Something in a picture: where, and how sure the finder is (score, 0..1; of one finder comparable, of two not).

    phrase: the words that it was looked for by, "" for a person or a face. mask: bool [H, W] where the finder knows it; of a
    face the head with the hair and what is worn on it. whole: the amodal box, what hides the thing included, with the room that
    pictures of its kind have around it, where the finder knows that; it may reach beyond the picture.
    """

    box: Box
    score: float
    phrase: str = ""
    mask: np.ndarray | None = field(default=None, repr=False)
    whole: Box | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class FoundFace(Found):
    """A face. points: right eye, left eye, nose, corners of the mouth as they lie in the picture, or none. embedding: float
    [D] of length 1, or None; the products of two embeddings of one finder say how alike two faces are."""

    points: tuple[Point, ...] = ()
    embedding: np.ndarray | None = field(default=None, repr=False)


class PeopleFinder(Protocol):
    """Finds people."""

    def find_people(self, picture: Image.Image) -> Sequence[Found]:
        """Everybody in an RGB picture, from left to right."""
        ...


class FaceFinder(Protocol):
    """Finds faces."""

    def find_faces(self, picture: Image.Image) -> Sequence[FoundFace]:
        """All faces in an RGB picture, from left to right."""
        ...


class PhraseFinder(Protocol):
    """Finds a thing by the words for it."""

    def find_phrase(self, picture: Image.Image, phrase: str, within: Box | None = None) -> Sequence[Found]:
        """The places where the thing may be in an RGB picture, the surest first; `within`: only in that part of it, in
        practice one person."""
        ...


class Segmenter(Protocol):
    """Tells which pixels of a picture a thing covers."""

    def segment(self, picture: Image.Image, found: Found) -> np.ndarray:
        """The mask bool [H, W] of what was found; by its box, its phrase or both, as the segmenter is able to."""
        ...


class Embedder(Protocol):
    """Tells how alike pictures look."""

    def embed(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """float [P, D] of P pictures, rows of length 1: the products of two rows say how alike two pictures are."""
        ...


class Filler(Protocol):
    """Invents what is hidden in a picture."""

    def fill(self, picture: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The picture uint8 [H, W, 3] RGB with these places bool [H, W] invented; all else stays as it is."""
        ...
