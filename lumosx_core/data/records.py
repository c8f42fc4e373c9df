"""What is known of a video, a clip and everybody in it, as the stages of collection tell it: frozen records of plain values.

A record is stored as JSON; pictures, masks and the clip are files of the work store, named by their digest (`Blob`). Times are
seconds from the first frame of the source, boxes (left, top, right, bottom) in pixels of the upright frame.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from lumosx_core.eyes import Box

Blob = Annotated[str, "blob"]  # sha256 of a file's content, in hex; empty where there is no file
ID_DIGITS = 16


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A part of a source without a cut: where it begins, how many frames (4n + 1) at which rate."""

    start_s: float
    frames: int
    fps: float


@dataclass(frozen=True, kw_only=True)
class SourceRecord:
    """A video file: size upright in square pixels, length, mean rate, what is special (`VideoFacts`), and its shots."""

    width: int
    height: int
    duration_s: float
    fps: float
    codec: str
    variable_rate: bool
    hdr: str
    interlaced: bool
    shots: tuple[Shot, ...]


@dataclass(frozen=True, kw_only=True)
class FrameRecord:
    """A selected frame: its time, PNG, perceptual hash (64 bits in hex) and sharpness (variance of the Laplacian of grey)."""

    time_s: float
    picture: Blob
    looks: str
    sharpness: float


@dataclass(frozen=True, kw_only=True)
class FramesRecord:
    """The selected frames in order, and their size in pixels."""

    width: int
    height: int
    frames: tuple[FrameRecord, ...]


@dataclass(frozen=True, kw_only=True)
class PersonView:
    """A person in selected frame `frame` (from 0). scores 0..1; embedding: of length 1, empty where there is none."""

    frame: int
    box: Box
    score: float
    mask: Blob
    face: Box | None = None
    face_score: float = 0.0
    embedding: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PeopleRecord:
    """tracks: the views of each person, people from left to right as they are in the first frame that shows them.
    seen: how many people were found in each selected frame. likeness: of the worst joint of a track, 0..1 (1: one view)."""

    tracks: tuple[tuple[PersonView, ...], ...]
    seen: tuple[int, ...]
    likeness: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class CaptionRecord:
    """The words for the clip; origin: "given" beside the video, or "written" by a component."""

    text: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Where phrase number `phrase` of the reading may be: on person `track` (None: anywhere else) in frame `frame`.

    inside: share of the mask inside the person's mask. lab: mean colour of the masked pixels in CIELAB. border: whether the
    mask touches the frame's border. pixels: of the mask.
    """

    phrase: int
    track: int | None
    frame: int
    box: Box
    score: float
    mask: Blob = ""
    pixels: int = 0
    inside: float = 0.0
    border: bool = False
    lab: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GroundingRecord:
    """For every phrase, person and frame the surest place, where there is one."""

    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Why a phrase is taken for a person's. own: mean score of the phrase on its owner over the frames, 0..1. others: on the
    person that fits best otherwise. inside: mean share of the mask inside the owner. colour: distance of the colour word from
    the thing's colour minus that from the best other person's (negative speaks for the owner; None: no colour word, or nobody
    else has such a thing). readers: which readers said it."""

    own: float
    others: float
    inside: float
    colour: float | None
    readers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Phrase number `phrase` of the reading belongs to person `track` (None: a thing of nobody)."""

    phrase: int
    track: int | None
    evidence: Evidence


@dataclass(frozen=True, kw_only=True)
class RelationsRecord:
    """people: the track of every mention, None where nobody fits. margin: how much worse the next best assignment of mentions
    to tracks is, in mean share of what was found (0 to 1; 1 where there is no other). relations: of every phrase that was
    found."""

    people: tuple[int | None, ...]
    margin: float
    relations: tuple[Relation, ...]


@dataclass(frozen=True, kw_only=True)
class BackgroundRecord:
    """The scene without people and things; empty where there is none. invented: share of inpainted pixels, 0..1. frame: the
    selected frame whose view it is. left: how many people were still found in it. painted: whether a model invented them."""

    picture: Blob = ""
    invented: float = 0.0
    frame: int = 0
    left: int = 0
    painted: bool = False


@dataclass(frozen=True, kw_only=True)
class VideoRecord:
    """The clip as mp4: H.264, upright, square pixels, SDR. digest: of the decoded frames that were written."""

    video: Blob
    digest: str
    width: int
    height: int
    frames: int
    fps: float


BLOB_FIELDS = ("mask", "picture", "video")  # fields of records that are `Blob`s; a test holds this


def blobs_in(content: Any) -> Iterator[Blob]:
    """The files of the work store that the plain values of a record name."""
    if isinstance(content, dict):
        for name, value in content.items():
            if name in BLOB_FIELDS:
                if value:
                    yield value
            else:
                yield from blobs_in(value)
    elif isinstance(content, list):
        for item in content:
            yield from blobs_in(item)


def canonical(content: Any) -> bytes:
    """JSON of plain values or of a record, the same bytes for the same content."""
    plain = asdict(content) if hasattr(content, "__dataclass_fields__") else content
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("utf-8")


def digest_of(content: Any) -> str:
    """sha256 in hex of bytes, or of what `canonical` makes of a record or of plain values."""
    return hashlib.sha256(content if isinstance(content, bytes) else canonical(content)).hexdigest()


def clip_id(source: str, shot: Shot) -> str:
    """The name of a clip: 16 hex digits of its source's content and its shot, wherever the file lies."""
    return digest_of([source, asdict(shot)])[:ID_DIGITS]
