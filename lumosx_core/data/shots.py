"""From a video to its shots: parts without a cut, as long as the model takes.

Legend: F = frames of the video.
"""

from pathlib import Path

import numpy as np

from lumosx_core.data.collect_config import ShotSettings
from lumosx_core.data.cuts import Cuts, find_cuts
from lumosx_core.data.decoding import UndecodableError, probe_video
from lumosx_core.data.records import Shot, SourceRecord
from lumosx_core.data.stage import DroppedError


def cut_into_shots(path: Path, settings: ShotSettings) -> SourceRecord:
    """Facts and shots of a video. Drops a video that cannot be decoded, is too small, or has no shot that is long enough."""
    try:
        facts = probe_video(path)
        if min(facts.width, facts.height) < settings.least_side:
            detail = f"{facts.width}x{facts.height} pixels, the shorter side must have {settings.least_side}"
            raise DroppedError("too_small", detail)
        if facts.hdr and settings.hdr == "drop":
            raise DroppedError("hdr", facts.hdr)
        cuts = find_cuts(path, settings)
    except UndecodableError as error:
        raise DroppedError("undecodable", str(error)) from error
    shots = tuple(shots_between(cuts, settings))
    if not shots:
        length = cuts.times[-1] - cuts.times[0] if len(cuts.times) else 0.0
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


def shots_between(cuts: Cuts, settings: ShotSettings) -> list[Shot]:
    """The shots between cuts, one after the other; what is longer than the model takes makes several."""
    times = cuts.times
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / settings.fps
    shots = []
    for first, end in _parts(cuts):
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


def _parts(cuts: Cuts) -> list[tuple[int, int]]:
    """(first frame, frame behind the last) of every part without a cut, without the frames of fades and dissolves."""
    parts, first = [], None
    for number, between in enumerate(cuts.between):
        if first is not None and (between or cuts.begins[number]):
            parts.append((first, number))
            first = None
        if first is None and not between:
            first = number
    return parts if first is None else [*parts, (first, len(cuts.times))]
