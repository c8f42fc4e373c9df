"""What all imports share: a video and the masks of its selected frames become the records that the stages would have written.

Legend: F = frames, H, W = pixels.
"""

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.data.decoding import probe_video, walk_frames
from lumosx_core.data.records import Blob, Candidate, FrameRecord, FramesRecord, PersonView, Shot, VideoRecord
from lumosx_core.data.stages.frames import looks_of, sharpness
from lumosx_core.data.store import Blobs
from lumosx_core.detection.boxes import mask_box
from lumosx_core.errors import InputError
from lumosx_core.eyes import Box
from lumosx_core.files.images import encoded_png
from lumosx_core.files.videos import read_video, write_video

SAME = 6.0  # mean difference, 0 to 255, below which two ways of decoding show the same picture
MOST_FRAMES = 2000  # of a video that is held in memory; ours


@dataclass(frozen=True, kw_only=True)
class ImportedClip:
    """A clip as records of the stages, by their names. name: for messages and the manifest."""

    name: str
    video: Path
    shot: Shot
    records: dict[str, Any]
    origin: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenVideo:
    """All frames of a video, uint8 [F, H, W, 3], upright, and its rate. plain: whether any player shows the same, so that the
    file can be taken as it is."""

    path: Path
    frames: np.ndarray
    fps: float
    plain: bool


def open_video(path: Path) -> OpenVideo:
    """Decode a short video. Raises UndecodableError, and InputError for one that is longer than `MOST_FRAMES`."""
    facts = probe_video(path)
    if facts.frames is not None and facts.frames > MOST_FRAMES:
        raise InputError(f"{path} has {facts.frames} frames, at most {MOST_FRAMES} are imported; cut it into clips")
    frames = np.stack([frame for _, frame in walk_frames(path)])
    plain = (
        path.suffix.lower() == ".mp4" and facts.codec == "h264" and not (facts.hdr or facts.interlaced or facts.variable_rate)
    )
    if plain:
        first = read_video(path, max_frames=1)[0][0]
        plain = first.shape == frames.shape[1:] and abs(first.astype(int) - frames[0]).mean() < SAME
    return OpenVideo(path=path, frames=frames, fps=facts.fps or 1.0, plain=plain)


def frames_record(video: OpenVideo, selected: Sequence[int], blobs: Blobs) -> FramesRecord:
    """The selected frames, by their numbers from 0. Raises InputError for numbers behind the end."""
    if beyond := [number for number in selected if number >= len(video.frames)]:
        raise InputError(f"frame {beyond[0]} is selected, but the video has {len(video.frames)} frames (from 0)")
    height, width = video.frames.shape[1:3]
    return FramesRecord(
        width=width,
        height=height,
        frames=tuple(
            FrameRecord(
                time_s=number / video.fps,
                picture=blobs.put(encoded_png(Image.fromarray(video.frames[number]))),
                looks=looks_of(video.frames[number]),
                sharpness=sharpness(video.frames[number]),
            )
            for number in selected
        ),
    )


def even_sides(frames: np.ndarray) -> np.ndarray:
    """Frames [F, H, W, 3] without an odd last row or column, which H.264 does not take."""
    return frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]


def video_bytes(video: OpenVideo) -> bytes:
    """The clip as mp4: its file where every player shows it the same, else written anew as H.264."""
    if video.plain:
        return video.path.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        return write_video(Path(folder) / "clip.mp4", even_sides(video.frames), video.fps).read_bytes()


def video_record(video: OpenVideo, blobs: Blobs) -> VideoRecord:
    """The clip as it is stored."""
    frames = even_sides(video.frames)
    return VideoRecord(
        video=blobs.put(video_bytes(video)),
        digest=hashlib.sha256(frames.tobytes()).hexdigest(),
        width=frames.shape[2],
        height=frames.shape[1],
        frames=len(frames),
        fps=video.fps,
    )


def person_view(frame: int, mask: np.ndarray, face: Box | None, blobs: Blobs) -> PersonView:
    """A person in selected frame `frame`. mask: bool [H, W], not empty."""
    return PersonView(
        frame=frame, box=_box(mask), score=1.0, mask=keep_mask(mask, blobs), face=face, face_score=1.0 if face else 0.0
    )


def candidate(
    phrase: int, track: int | None, frame: int, mask: np.ndarray, owner: np.ndarray | None, score: float, blobs: Blobs
) -> Candidate:
    """Where a phrase is. mask: bool [H, W], not empty; owner: that of the person."""
    inside = 1.0 if owner is None else float((mask & owner).sum() / mask.sum())
    return Candidate(
        phrase=phrase,
        track=track,
        frame=frame,
        box=_box(mask),
        score=score,
        mask=keep_mask(mask, blobs),
        pixels=int(mask.sum()),
        inside=round(inside, 4),
    )


def keep_mask(mask: np.ndarray, blobs: Blobs) -> Blob:
    """Store a mask bool [H, W]."""
    return blobs.put(encoded_png(Image.fromarray(mask)))


def _box(mask: np.ndarray) -> Box:
    left, top, right, bottom = mask_box(mask)
    return float(left), float(top), float(right), float(bottom)
