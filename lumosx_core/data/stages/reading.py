"""Who has what, as the caption says it: by rules, or by a language model that sees the frames with everybody numbered."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from lumosx_core.data.collect_config import CollectConfig, ModelSettings, ReadingSettings
from lumosx_core.data.components import folder_digest
from lumosx_core.data.relations.boxed_pictures import boxed_picture
from lumosx_core.data.relations.local_model import LocalModel, check_local_model
from lumosx_core.data.relations.model_reader import ModelReader
from lumosx_core.data.relations.reading import Reading
from lumosx_core.data.relations.rules import read_rules
from lumosx_core.data.relations.server_transport import ServerSettings, Transport
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
        answer = model_reader(settings, work.config.models).read(caption, pictures, len(tracks))
    except InputError as error:
        raise StopRunError(
            f"{error}; the same command goes on where it stopped, also with --set reading.reader=rules"
        ) from error
    return replace(answer.reading, boxes=answer.boxes)


@lru_cache(maxsize=1)
def model_reader(settings: ReadingSettings, models: ModelSettings) -> ModelReader:
    """The reader of a language model, which is ready to be asked; one in every process. Raises InputError if there is no
    server, which says how one is started, or it does not have the model, and for a folder that holds none."""
    if settings.reader == "model":
        local = LocalModel(Path(models.reader), device=models.device)
        local.start()
        return ModelReader(local)
    server = Transport(
        ServerSettings(
            model=settings.served, url=settings.server, timeout_s=settings.timeout_s, patience_s=settings.patience_s, together=1
        )
    )
    server.start()
    return ModelReader(server)


def check_reader(config: CollectConfig) -> None:
    """Raises InputError where the reader cannot be had; of a model in a folder nothing is loaded."""
    if config.reading.reader == "model":
        check_local_model(Path(config.models.reader))
    elif config.reading.reader == "server":
        model_reader(config.reading, config.models)


def reader_digest(config: CollectConfig) -> str:
    """Of the model files behind the reader; empty where it has none here."""
    return folder_digest(Path(config.models.reader)) if config.reading.reader == "model" else ""
