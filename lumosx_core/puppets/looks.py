"""How alike the people and things of the puppet world look, by their colours: what measures of photographs can be tried on.

Legend: P = pictures, C = colours of a table, H, W = pixels.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy import ndimage

from lumosx_core.eyes import FoundFace
from lumosx_core.files.images import rgb_on_white
from lumosx_core.puppets.analyser import PuppetAnalyser
from lumosx_core.puppets.spec import HAIR_COLOURS, PALETTE, SKINS

LIGHTEST = 254  # of 255 in every channel: paper
DARKEST_LIGHT, BRIGHTEST_LIGHT = 0.84, 1.1  # pictures are taken in other light
SOFT = 0.05  # of colours 0..1: so far a colour may be off beside the light
UNKNOWN = 0.1  # a pixel that is farther from every colour is of something else
FEW = 0.04  # share of the pixels of a head: with less hair it is bald, or hidden


class PuppetLooks:
    """An `Embedder` of things of the puppet world on white paper: how much of each colour of the palette they show."""

    def embed(self, pictures: Sequence[Image.Image]) -> np.ndarray:
        """float32 [P, C], rows of length 1: square roots of the shares, so that the product of two says how much two
        distributions overlap (Bhattacharyya). What shows nothing is even."""
        rows = []
        for picture in pictures:
            pixels = np.asarray(rgb_on_white(picture), dtype=np.float32)
            shares, _ = _shares(pixels[~_paper(pixels)], list(PALETTE.values()))
            rows.append(np.sqrt(shares))
        return np.array(rows, dtype=np.float32).reshape(-1, len(PALETTE))


class PuppetFaces:
    """A `FaceFinder` of the puppet world whose embeddings are the colours of skin and hair, in frames and in portraits
    alike. What is worn on a head is not looked at."""

    def __init__(self, analyser: PuppetAnalyser) -> None:
        self.analyser = analyser

    def find_faces(self, picture: Image.Image) -> list[FoundFace]:
        """The heads from left to right; of a picture of one head in front of a plain wall that one."""
        if (portrait := portrait_face(picture)) is not None:
            return [portrait]
        pixels = np.asarray(rgb_on_white(picture), dtype=np.float32)
        faces = []
        for person in self.analyser.look(picture).people:
            if person.face is None:
                continue
            bare = person.head & ~np.any([thing.mask for thing in person.things.values()], axis=0)
            embedding = face_colours(pixels[bare])
            faces.append(FoundFace(box=person.face, score=person.score, embedding=embedding, mask=bare, whole=person.framed))
        return faces


def portrait_face(picture: Image.Image) -> FoundFace | None:
    """The face of a reference, a square picture of one head in front of a plain wall: all that differs from the wall. None of
    frames, which are never square."""
    if picture.width != picture.height:
        return None
    pixels = np.asarray(rgb_on_white(picture), dtype=np.float32)
    edge, counts = np.unique(np.concatenate([pixels[0], pixels[:, 0], pixels[:, -1]]), axis=0, return_counts=True)
    head = (pixels != edge[counts.argmax()]).any(-1)
    if not head.any():
        return None
    box = (0.0, 0.0, float(picture.width), float(picture.height))
    return FoundFace(box=box, score=1.0, embedding=face_colours(pixels[head]), mask=head)


def face_colours(pixels: np.ndarray) -> np.ndarray:
    """float64 [C] of length 1 of the pixels [P, 3] of head and hair, without what is worn on them: one half is the skin, the
    other one the hair, nothing where there is none: so under a hat that hides the hair the skin is left to tell by."""
    colours = [*SKINS, *HAIR_COLOURS.values()]
    shares, known = _shares(pixels, colours)
    skin, hair = shares[: len(SKINS)], shares[len(SKINS) :] * known
    halves = (skin / max(skin.sum(), 1e-9), np.zeros_like(hair) if hair.sum() < FEW else hair / hair.sum())
    row = np.concatenate([np.sqrt(half) for half in halves])
    return row / np.linalg.norm(row)


def _shares(pixels: np.ndarray, colours: Sequence[tuple[int, int, int]]) -> tuple[np.ndarray, float]:
    """(how the pixels [P, 3] that are of any of the colours, in whatever light, share out to them, [C], which share that
    is)."""
    table = np.array(colours, dtype=np.float32) / 255
    shown = pixels.reshape(-1, 3) / 255
    light = np.clip((shown @ table.T) / (table**2).sum(1), DARKEST_LIGHT, BRIGHTEST_LIGHT)
    off = ((shown[:, None] - light[..., None] * table) ** 2).sum(-1)
    known = off.min(1, initial=np.inf) <= UNKNOWN**2
    if not known.any():
        return np.full(len(table), 1 / len(table)), 0.0
    off = off[known]
    near = np.exp(-(off - off.min(1, keepdims=True)) / (2 * SOFT**2))
    return (near / near.sum(1, keepdims=True)).mean(0), float(known.mean())


def _paper(pixels: np.ndarray) -> np.ndarray:
    """Bool [H, W]: white pixels that hang together with the border; white inside a contour is the thing."""
    pieces, _ = ndimage.label(pixels.min(-1) >= LIGHTEST)
    outside = np.unique(np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]]))
    return np.isin(pieces, outside[outside > 0])
