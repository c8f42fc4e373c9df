"""From a video to its shots: parts without a cut, as long as the model takes.

A cut is where the colours of a frame change at once. Colours are counted in a small histogram of every frame.

Legend: F = frames of the video, H, W = pixels.
"""

from pathlib import Path

import numpy as np

from lumosx_core.data.collect_config import ShotSettings
from lumosx_core.data.decoding import UndecodableError, probe_video, walk_frames
from lumosx_core.data.records import Shot, SourceRecord
from lumosx_core.data.stage import DroppedError

LOOKED_AT = 64  # pixels of the short side are enough for colours
BINS = 8  # per channel


def cut_into_shots(path: Path, settings: ShotSettings) -> SourceRecord:
    """Facts and shots of a video. Drops a video that cannot be decoded, is too small, or has no shot that is long enough."""
    try:
        facts = probe_video(path)
        if min(facts.width, facts.height) < settings.least_side:
            detail = f"{facts.width}x{facts.height} pixels, the shorter side must have {settings.least_side}"
            raise DroppedError("too_small", detail)
        if facts.hdr and settings.hdr == "drop":
            raise DroppedError("hdr", facts.hdr)
        times, changes = colour_changes(path)
    except UndecodableError as error:
        raise DroppedError("undecodable", str(error)) from error
    shots = tuple(shots_between(times, changes, settings))
    if not shots:
        length = times[-1] - times[0] if len(times) else 0.0
        raise DroppedError("too_short", f"{length:.2f} s without a cut at most, {settings.least_s:g} s wanted")
    return SourceRecord(
        width=facts.width,
        height=facts.height,
        duration_s=facts.duration_s,
        fps=facts.fps,
        codec=facts.codec,
        variable_rate=facts.variable_rate,
        hdr=facts.hdr,
        interlaced=facts.interlaced,
        shots=shots,
    )


def colour_changes(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(seconds [F] of every frame, share [F] of its colours that the frame before has not: 0 to 1, 0 for the first)."""
    times: list[float] = []
    changes: list[float] = []
    before: np.ndarray | None = None
    for time, frame in walk_frames(path, short_side=LOOKED_AT):
        coarse = (frame // (256 // BINS)).reshape(-1, 3).astype(np.int32) @ np.array([BINS * BINS, BINS, 1])
        counts = np.bincount(coarse, minlength=BINS**3) / len(coarse)
        changes.append(0.0 if before is None else float(np.abs(counts - before).sum() / 2))
        times.append(time)
        before = counts
    return np.array(times), np.array(changes)


def shots_between(times: np.ndarray, changes: np.ndarray, settings: ShotSettings) -> list[Shot]:
    """The shots between cuts, one after the other; what is longer than the model takes makes several."""
    if not len(times):
        return []
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / settings.fps
    starts = [0, *np.flatnonzero(changes > settings.cut).tolist()]
    shots = []
    for first, end in zip(starts, [*starts[1:], len(times)], strict=True):
        begin = float(times[first])
        length = (float(times[end]) if end < len(times) else float(times[-1]) + step) - begin
        while length >= settings.least_s:
            frames = min(settings.most_frames, int(length * settings.fps + 1e-6))
            frames = (frames - 1) // 4 * 4 + 1
            if frames < 1 or frames / settings.fps < settings.least_s - 3 / settings.fps:
                break
            shots.append(Shot(start_s=round(begin, 6), frames=frames, fps=settings.fps))
            begin += frames / settings.fps
            length -= frames / settings.fps
    return shots
