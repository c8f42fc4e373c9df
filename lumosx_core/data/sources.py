"""Which videos there are: files, folders, lists; what lies beside them; and who they are, by content."""

import csv
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lumosx_core.data.records import ID_DIGITS
from lumosx_core.data.store import WorkStore
from lumosx_core.errors import InputError, quoted
from lumosx_core.files.digests import file_digest
from lumosx_core.files.json import parse_record
from lumosx_core.progress import Progress

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".wmv", ".flv", ".ogv", ".gif")
LIST_SUFFIXES = (".csv", ".jsonl")
MOST_CAPTION = 2**20  # bytes of a text beside a video


@dataclass(frozen=True, kw_only=True)
class GivenVideo:
    """A video file as it was given: its path, and what was said of it (empty: nothing)."""

    path: Path
    caption: str = ""
    origin: str = ""
    licence: str = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A video by content: 16 hex digits of sha256 of the file, one file that holds it, all that do, and what was said."""

    source: str
    path: str
    names: tuple[str, ...]
    caption: str
    origin: str
    licence: str


def find_videos(inputs: Sequence[Path]) -> list[GivenVideo]:
    """The videos of files, folders (all below them; hidden ones are left out) and lists (.csv with a header or .jsonl: path,
    and if wanted caption, source, licence), each path once, sorted. A text `name.txt` beside `name.mp4` is its caption.

    Raises InputError for an input that is not there, a list that cannot be read or lacks its column, and if there are none.
    """
    found: dict[str, GivenVideo] = {}
    for given in inputs:
        path = Path(os.path.expanduser(given))
        if path.is_dir():
            videos: Iterator[GivenVideo] = (GivenVideo(path=file) for file in _videos_below(path))
        elif path.is_file() and path.suffix.lower() in LIST_SUFFIXES:
            videos = _listed(path)
        elif path.is_file():
            videos = iter([GivenVideo(path=path)])
        else:
            raise InputError(f"there is no file or folder {path}; give videos, folders of videos, or a list")
        for video in videos:
            found.setdefault(os.path.realpath(video.path), _with_text_beside(video))
    if not found:
        raise InputError(f"there is no video in {', '.join(map(str, inputs))}; known endings: {', '.join(VIDEO_SUFFIXES)}")
    return [found[name] for name in sorted(found)]


def identify(
    videos: Sequence[GivenVideo],
    store: WorkStore,
    progress: Progress | None = None,
    *,
    unwanted: Callable[[str], bool] = lambda _: False,
) -> tuple[list[Source], list[str]]:
    """(the videos by content, sorted by it, with those of earlier runs; what cannot be read, as messages).

    A file seen before is not read again while its size and time are the same. Of two files with one content the first gives
    path and words, and both names are noted. Of a content that is `unwanted` nothing is noted.
    """
    by_content: dict[str, Source] = {}
    unreadable: list[str] = []
    new: list[tuple[str, int, int, str]] = []
    for number, video in enumerate(videos, start=1):
        try:
            state = video.path.stat()
            key = os.path.realpath(video.path)
            digest = store.known_source(key, state.st_size, state.st_mtime_ns)
            if digest is None:
                digest = content_id(video.path)
                if unwanted(digest):
                    continue
                new.append((key, state.st_size, state.st_mtime_ns, digest))
        except OSError as error:
            unreadable.append(f"{video.path}: {error.strerror or error}")
            continue
        except InputError as error:
            unreadable.append(str(error))
            continue
        name = video.path.name.encode("utf-8", "replace").decode("utf-8")
        known = by_content.get(digest)
        if known is None:
            by_content[digest] = Source(
                source=digest, path=key, names=(name,), caption=video.caption, origin=video.origin, licence=video.licence
            )
        else:
            by_content[digest] = replace(
                known,
                names=(*known.names, name),
                caption=known.caption or video.caption,
                origin=known.origin or video.origin,
                licence=known.licence or video.licence,
            )
        if progress is not None:
            progress("videos", number, len(videos))
    store.note_files(new)
    # Names that are no UTF-8 are kept as Python holds them, which JSON can only as escapes.
    kept = store.remember({digest: json.dumps(asdict(source)) for digest, source in by_content.items()})
    return _parsed(kept), unreadable


def known_sources(store: WorkStore) -> list[Source]:
    """All videos of earlier runs, sorted by content."""
    return _parsed(store.remember({}))


def _parsed(kept: dict[str, str]) -> list[Source]:
    return [parse_record(Source, json.loads(record), "a source of the work store") for record in kept.values()]


def _videos_below(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()  # links may lead in circles
    for top, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(top)
        folders[:] = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
        if real not in seen:
            yield from (Path(top) / name for name in sorted(files) if _is_video(name))
        seen.add(real)


def _is_video(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(VIDEO_SUFFIXES)


def _listed(path: Path) -> Iterator[GivenVideo]:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the list {path} ({error}); expected UTF-8 text") from error
    if path.suffix.lower() == ".csv":
        rows: list[dict] = list(csv.DictReader(text.splitlines()))
    else:
        rows = []
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                try:
                    rows.append(json.loads(line))
                except ValueError as error:
                    raise InputError(f"line {number} of {path} is no JSON ({error})") from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or not isinstance(row.get("path"), str) or not row["path"]:
            raise InputError(
                f"row {number} of {path} has no path; expected the column or field path, and if wanted caption, source, licence"
            )
        named = row["path"].replace("\\", "/") if os.sep == "/" and not Path(row["path"]).exists() else row["path"]
        file = path.parent / os.path.expanduser(named)
        if not file.is_file():
            raise InputError(f"row {number} of {path} names {quoted(row['path'])}, which is no file beside the list")
        texts = {name: str(row.get(key) or "") for name, key in (("caption",) * 2, ("origin", "source"), ("licence",) * 2)}
        yield GivenVideo(path=file, **texts)


def _with_text_beside(video: GivenVideo) -> GivenVideo:
    beside = video.path.with_suffix(".txt")
    if video.caption or not beside.is_file() or beside.stat().st_size > MOST_CAPTION:
        return video
    return replace(video, caption=beside.read_text("utf-8-sig", "replace").strip())


def content_id(path: Path) -> str:
    """16 hex digits of a file's content. Raises InputError if it cannot be read."""
    return file_digest(path)[:ID_DIGITS]
