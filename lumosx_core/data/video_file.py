"""One video file opened for decoding: its stream, its frames in order of presentation, and the packets around a moment.

Files are opened without the network, only as containers of videos (a playlist or a text named .mp4 is refused), and
never by a name that FFmpeg could take for an address.
"""

import math
import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumosx_core.data.deinterlacing import deinterlaced
from lumosx_core.errors import InputError
from lumosx_core.files.existing import existing_file

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpegtsraw,mpeg,mpegvideo,flv,live_flv,asf,asf_o,ogg,nut,gif,apng,mxf,"
    "rm,dv,h264,hevc,vvc,m4v,vc1,ivf,av1,obu,yuv4mpegpipe,wtv,dxa,nsv,gxf,swf,smjpeg,mjpeg"
)
FAR_PACKETS = 5000  # without a key frame: the file has no use for seeking
REORDERED = 20  # packets; more than any codec takes frames out of order (16)


class UndecodableError(InputError):
    """A video that gives no usable frames.

    reason: "no_video" (audio, pictures of a cover or nothing at all beside), "hdr" (where HDR is dropped) or
    "undecodable: ..." with what was found. The message names the file.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"the video {path} is not used ({reason}); give a whole video file that an ordinary player shows")
        self.path, self.reason = str(path), reason

    def __reduce__(self) -> tuple[type["UndecodableError"], tuple[str, str]]:
        return type(self), (self.path, self.reason)


class VideoFile:
    """A context: the file is open within it. Raises UndecodableError, and InputError where no file is.

    strict: the decoder takes every small fault for damage. Without it, a frame that is missing for others may go unnoticed
    while those that nobody needs are skipped.
    """

    def __init__(self, path: str | Path, *, strict: bool = False) -> None:
        import av

        self.path = existing_file(path, "video", "give the path of a video file")
        if self.path.stat().st_size == 0:
            raise self.error("empty file")
        options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
        try:
            self.container = av.open("file:" + os.path.abspath(self.path), options=options, metadata_errors="replace")
        except Exception as error:
            raise self.error(f"no video container, {error_text(error)}") from error
        try:
            self.stream = self._chosen_stream()
        except BaseException:
            self.container.close()
            raise
        self.time_base: Fraction = self.stream.time_base or Fraction(1, 90000)
        self.trouble = ""  # the last error within the stream
        self.interlaced = False  # a decoded frame was
        codec = self.stream.codec_context
        codec.thread_count = 1  # the workers that read videos share the cores, and every thread holds frames of its own
        codec.options = {"err_detect": "explode"} if strict else {}
        # AVI has no presentation times: the decoder's frames come in order, at the times of the packets.
        self.by_order = self.container.format.name == "avi" and codec.codec.reorder

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def error(self, text: str) -> UndecodableError:
        return UndecodableError(self.path, f"undecodable: {text}")

    def _chosen_stream(self) -> "VideoStream":
        """The default stream, else the largest; never a cover."""
        from av.stream import Disposition

        never = Disposition.attached_pic | Disposition.timed_thumbnails
        streams = [stream for stream in self.container.streams.video if not Disposition(int(stream.disposition)) & never]
        if not streams:
            raise UndecodableError(self.path, "no_video")
        readable = [stream for stream in streams if stream.codec_context is not None]
        if not readable:
            raise self.error("no decoder for its codec")
        return max(readable, key=lambda stream: (bool(stream.disposition & Disposition.default), stream.width * stream.height))

    @property
    def aspect(self) -> Fraction | None:
        """Width of a pixel over its height, as the container or else the stream says."""
        return self.stream.sample_aspect_ratio

    def packets(self) -> Iterator["Packet[Any]"]:
        """From where the file stands; a file that breaks off ends there."""
        from av.error import FFmpegError

        try:
            for packet in self.container.demux(self.stream):
                if packet.has_sidedata("encryption_info"):
                    raise self.error("encrypted")
                yield packet
        except UndecodableError:  # which is a ValueError as well
            raise
        except (FFmpegError, ValueError) as error:
            self.trouble = error_text(error)

    def walk(self) -> Generator["VideoFrame", None, None]:
        """Every whole frame from the start, in order of presentation; `frame.pts` rises, in `time_base`.

        Left out are frames that the file marks as not shown (edit lists), and from a damaged frame on all up to the next
        key frame. Raises UndecodableError: no frame at all, or no times.
        """
        found = False
        for frame in deinterlaced(self._stamped(), self.time_base):
            found = True
            yield frame
        if not found:
            raise self.error(f"no frames{', ' * bool(self.trouble)}{self.trouble}")

    def _stamped(self) -> Iterator["VideoFrame"]:
        order: deque[int] = deque()
        shift, last = 0, None
        rate = self.stream.average_rate or self.stream.guessed_rate or Fraction(25)
        usual = max(1, round(1 / (rate * self.time_base)))
        for frame in self._decoded(self.packets(), order):
            pts = order.popleft() if self.by_order and order else frame.pts
            if pts is None:
                if last is None:
                    raise self.error("no timestamps")
                pts = last - shift + usual
            if last is not None and pts + shift <= last:  # the times begin anew, as in files that were put together
                shift = last + usual - pts
            frame.pts = last = pts + shift
            yield frame

    def _decoded(self, packets: Iterable["Packet[Any]"], order: deque[int], trust: bool = True) -> Iterator["VideoFrame"]:
        """Whole frames; behind damage none from the key frame before it up to the next one. order: gets the packets' times.

        trust: the first packet begins something; otherwise the decoder must say itself that its frame is a key frame.
        """
        from av.error import FFmpegError

        key_pts = -math.inf  # of the last key frame that was sent
        lost_from: float | None = None if trust else -math.inf
        mended: set[float] = set()  # times of the key frames that were sent since the damage
        for packet in packets:
            if packet.pts is None and packet.dts is not None:
                self.by_order = True
            if packet.is_corrupt:
                lost_from = key_pts
                mended.clear()
                continue
            if packet.is_keyframe and packet.pts is not None and not self.by_order:
                key_pts = packet.pts
                if lost_from is not None:
                    mended.add(key_pts)
            if packet.dts is not None and not packet.is_discard:
                order.append(packet.dts)
            try:
                frames = packet.decode()
            except (FFmpegError, ValueError) as error:
                self.trouble, lost_from = error_text(error), key_pts
                mended.clear()
                continue
            for frame in frames:
                at = -math.inf if frame.pts is None or self.by_order else frame.pts
                if frame.is_corrupt:
                    lost_from = at if lost_from is None else min(lost_from, at)
                elif lost_from is not None and frame.key_frame and (self.by_order or at > lost_from or at in mended):
                    lost_from = None
                if lost_from is None or at < lost_from:
                    self.interlaced = self.interlaced or frame.interlaced_frame
                    yield frame

    def around(self, low: int, high: int, first: int) -> list["Packet[Any]"] | None:
        """The packets from the key frame at or before `low` to the first behind `high` in presentation, in decoding order.

        Times in `time_base`; first: time of the file's first frame. None: seeking does not lead there.
        """
        from av.error import FFmpegError

        if self.by_order:
            return None
        back, second = 0, max(1, round(1 / self.time_base))
        while True:
            try:
                self.container.seek(low - back, stream=self.stream)
            except (FFmpegError, ValueError, OverflowError):
                return None
            packets = self._gathered(high)
            if packets and packets[0].pts is not None and packets[0].pts <= max(low, first):
                return packets
            if packets is None or low - back < first:
                return None
            back = 2 * back or second  # it led to a key frame behind the moment

    def _gathered(self, high: int) -> list["Packet[Any]"] | None:
        packets: list[Packet[Any]] = []
        later: list[int] = []
        skipped = 0
        for packet in self.packets():
            if packet.dts is None and packet.pts is None:
                break  # the end
            if packet.pts is None or packet.is_corrupt or skipped > FAR_PACKETS:
                return None
            if not packets and not packet.is_keyframe:
                skipped += 1
                continue
            packets.append(packet)
            if packet.pts > high and not packet.is_discard:
                later.append(packet.pts)
            if later and ((packet.dts is not None and packet.dts >= min(later)) or len(later) > REORDERED):
                break
        return packets

    def frames_of(self, packets: list["Packet[Any]"], wanted: set[int], every: bool) -> Iterator["VideoFrame"]:
        """The frames of these packets (from a key frame on) whose time is wanted.

        every: decodes all of them, as deinterlacing needs; otherwise those that no other frame needs are skipped.
        """
        codec = self.stream.codec_context
        codec.flush_buffers()
        last = max(number for number, packet in enumerate(packets) if packet.pts in wanted)

        def sent() -> "Iterator[Packet[Any]]":
            from av.packet import Packet

            for packet in packets[: last + 1 + 2 * every]:
                codec.skip_frame = "DEFAULT" if every or packet.pts in wanted else "NONREF"
                yield packet
            end: Packet[Any] = Packet()
            end.stream = self.stream
            yield end

        try:
            frames = self._decoded(sent(), deque(), trust=False)
            for frame in deinterlaced(frames, self.time_base) if every else frames:
                if frame.pts in wanted:
                    yield frame
        finally:
            codec.skip_frame = "DEFAULT"


def error_text(error: BaseException) -> str:
    """FFmpeg's words without the file's name, which would be in a message twice."""
    return str(getattr(error, "strerror", None) or error)
