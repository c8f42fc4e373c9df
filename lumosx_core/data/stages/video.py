"""The clip as it is stored: upright, square pixels, SDR, at its own rate."""

import hashlib
import tempfile
from pathlib import Path

from lumosx_core.data.records import VideoRecord
from lumosx_core.data.stage import ClipWork
from lumosx_core.files.videos import write_video


def write_clip(work: ClipWork) -> VideoRecord:
    """The shot as mp4. H.264 takes even sides: an odd last row or column is left out."""
    frames = work.frames
    frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder) / "clip.mp4", frames, work.shot.fps, crf=work.config.video.crf)
        video = work.blobs.put(path.read_bytes())
    return VideoRecord(
        video=video,
        digest=hashlib.sha256(frames.tobytes()).hexdigest(),
        width=frames.shape[2],
        height=frames.shape[1],
        frames=len(frames),
        fps=work.shot.fps,
    )
