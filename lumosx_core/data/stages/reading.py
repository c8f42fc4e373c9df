"""Who has what, as the caption says it: by rules, or by a language model that sees the frames with everybody numbered."""

from dataclasses import replace
from functools import lru_cache

from lumosx_core.data.collect_config import ReadingSettings
from lumosx_core.data.relations.boxed_pictures import boxed_picture
from lumosx_core.data.relations.reading import Reading
from lumosx_core.data.relations.rules import read_rules
from lumosx_core.data.relations.server_reader import ServerReader
from lumosx_core.data.relations.server_transport import ServerSettings
from lumosx_core.data.stage import ClipWork, StopRunError
from lumosx_core.errors import InputError


def read_caption(work: ClipWork) -> Reading:
    """Mentions and phrases of the caption. Raises StopRunError if the server went away and stayed away: what no reader has read
    is not written down as read."""
    caption = work.records["caption"].text
    settings = work.config.reading
    if settings.reader == "rules":
        return read_rules(caption)
    tracks = work.records["people"].tracks
    pictures = []
    for frame, picture in enumerate(work.pictures):
        boxes = {n: view.box for n, views in enumerate(tracks, start=1) for view in views if view.frame == frame}
        pictures.append(boxed_picture(picture, boxes))
    try:
        answer = server_reader(settings).read(caption, pictures, len(tracks))
    except InputError as error:
        raise StopRunError(
            f"{error}; the same command goes on where it stopped, also with --set reading.reader=rules"
        ) from error
    return replace(answer.reading, boxes=answer.boxes)


@lru_cache(maxsize=1)
def server_reader(settings: ReadingSettings) -> ServerReader:
    """The server's reader, asked what it can; one in every process. Raises InputError if there is no server, which says how one
    is started, or it does not have the model."""
    reader = ServerReader(
        ServerSettings(
            model=settings.served, url=settings.server, timeout_s=settings.timeout_s, patience_s=settings.patience_s, together=1
        )
    )
    reader.start()
    return reader
