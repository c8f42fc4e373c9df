"""Interlaced frames to whole ones, one for each frame, by FFmpeg's bwdif (yadif where the build lacks it).

Progressive frames between them pass unchanged.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.filter import Graph
    from av.video.frame import VideoFrame

ARGUMENTS = "mode=send_frame:parity=auto:deint=interlaced"


def deinterlaced(frames: Iterator["VideoFrame"], time_base: Fraction) -> Iterator["VideoFrame"]:
    """The frames with their `pts` (in `time_base`); from the first interlaced one on they pass the filter.

    The filter looks at one frame before and one behind. It is built anew where the size or the pixel format changes.
    """
    graph: Graph | None = None
    shape: tuple[int, int, str] | None = None
    for frame in frames:
        now = (frame.width, frame.height, frame.format.name)
        if graph is not None and now != shape:
            yield from _pulled(graph, None, time_base)
            graph = None
        if graph is None and frame.interlaced_frame:
            graph, shape = _graph(frame, time_base), now
        if graph is None:
            yield frame
        else:
            frame.time_base = time_base
            yield from _pulled(graph, frame, time_base)
    if graph is not None:
        yield from _pulled(graph, None, time_base)


def _graph(frame: "VideoFrame", time_base: Fraction) -> "Graph":
    from av.filter import Graph, filters_available

    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=time_base)
    whole = graph.add("bwdif" if "bwdif" in filters_available else "yadif", ARGUMENTS)
    sink = graph.add("buffersink")
    graph.link_nodes(source, whole, sink).configure()
    return graph


def _pulled(graph: "Graph", frame: "VideoFrame | None", time_base: Fraction) -> Iterator["VideoFrame"]:
    """What the filter gives after one more frame (None: no more come)."""
    from av.error import BlockingIOError, EOFError

    graph.vpush(frame)
    while True:
        try:
            out = graph.vpull()
        except (BlockingIOError, EOFError):  # it wants more, or has given all
            return
        if out.pts is not None and out.time_base is not None:
            out.pts = round(out.pts * out.time_base / time_base)  # the filter counts in half ticks
        yield out
