"""Prints what three frames cost, against decoding all, and of a long file against a short one; and the memory of 8K.

Run: python -m tests.core.data.decoding_speed [--8k]
"""

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np

from lumosx_core.data.decoding import read_at, walk_frames
from tests.core.data.made_videos import as_frame, eight_k, write_frames

THREE = (0.05, 0.5, 0.95)


def moving(count: int, width: int, height: int) -> list[av.VideoFrame]:
    """A camera that moves over a textured ground, with a little noise, as in a real clip."""
    rng = np.random.default_rng(5)
    size = (height + 2 * count) // 8 + 1, (width + 3 * count) // 8 + 1
    ground = np.kron(rng.integers(40, 200, (*size, 3), np.uint8), np.ones((8, 8, 1), np.uint8)).astype(np.int16)
    for _ in range(6):  # soft edges
        ground = (ground + np.roll(ground, 1, 0) + np.roll(ground, 1, 1) + np.roll(ground, (1, 1), (0, 1))) // 4
    frames = []
    for number in range(count):
        seen = ground[2 * number :, 3 * number :][:height, :width]
        frames.append(as_frame((seen + rng.integers(-3, 4, seen.shape)).clip(0, 255).astype(np.uint8)))
    return frames


def repeated(source: Path, path: Path, times: int) -> Path:
    """The packets of a clip over and over, as one file: a long video without long encoding."""
    with av.open(str(source)) as given:
        stream = given.streams.video[0]
        packets = [(bytes(packet), packet.pts, packet.dts, packet.is_keyframe) for packet in given.demux(stream) if packet.size]
        base = stream.time_base
        assert base is not None
        length = round(stream.frames / stream.average_rate / base)
        with av.open(str(path), "w") as container:
            out = container.add_stream_from_template(stream)
            for turn in range(times):
                for data, pts, dts, key in packets:
                    packet = av.Packet(data)
                    packet.stream, packet.time_base, packet.is_keyframe = out, base, key
                    packet.pts, packet.dts = pts + turn * length, dts + turn * length
                    container.mux_one(packet)
    return path


def best(work: Callable[[], object], turns: int = 5) -> float:
    """Seconds of all cores together, the best of some turns: what other work on the machine adds is left out."""
    seconds = []
    for _ in range(turns):
        before = time.process_time()
        work()
        seconds.append(time.process_time() - before)
    return min(seconds)


def peak_gib(path: Path, short_side: int) -> tuple[float, float]:
    """(before, after) the highest memory of a process that reads three frames and walks the file, in GiB."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (path, short_side))


def _peak(path: Path, short_side: int) -> tuple[float, float]:
    before = _highest_gib()
    read_at(path, [0.05, 0.15, 0.25], short_side=short_side)
    for _ in walk_frames(path, short_side=short_side):
        pass
    return before, _highest_gib()


def _highest_gib() -> float:
    """Of this process alone; what getrusage says a child begins with is its parent's."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 2**20


def main(arguments: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        good = True
        for keyint in (250, 24):
            frames = moving(81, 832, 480)
            options = {"x264-params": f"keyint={keyint}", "crf": "20", "preset": "medium"}
            clip = write_frames(folder / f"clip_{keyint}.mp4", frames, per_second=16, options=options)
            seconds = [5.0 * at for at in THREE]
            three = best(lambda clip=clip, seconds=seconds: read_at(clip, seconds))
            everything = best(lambda clip=clip: sum(1 for _ in walk_frames(clip)))
            good &= three <= 0.6 * everything
            print(f"81 frames of 832x480, key frame every {keyint}: three {three:.3f} s, all {everything:.3f} s, ", end="")  # noqa: T201
            print(f"{three / everything:.2f} (at most 0.6)")  # noqa: T201
        frames = moving(240, 320, 240)
        short = write_frames(folder / "short.mp4", frames, per_second=24, options={"x264-params": "keyint=48"})
        for kind in ("mp4", "mkv", "ts"):
            files = [repeated(short, folder / f"{times}.{kind}", times) for times in (1, 120)]
            few, many = (
                best(lambda path=path, length=length: read_at(path, [length * at for at in THREE]))
                for path, length in zip(files, (10.0, 1200.0), strict=True)
            )
            good &= many <= 2 * few
            print(f"three frames of 20 minutes ({kind}) {many:.3f} s, of 10 seconds {few:.3f} s: {many / few:.2f} (at most 2)")  # noqa: T201
        if "--8k" in arguments:
            before, peak = peak_gib(eight_k(folder).path, 480)
            good &= peak <= 1.5
            print(f"8K with a shorter side of 480: peak {peak:.2f} GiB (at most 1.5), {before:.2f} before")  # noqa: T201
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
