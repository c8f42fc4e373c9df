"""What a stage of the collection is: a function from what is known of a clip to one more record.

A stage reads the records of the stages that it names in `needs`, its own section of the configuration, the selected frames and
the finders; nothing else. So its result can be kept as long as these are the same.
"""

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.data.collect_config import CollectConfig
from lumosx_core.data.components import Components
from lumosx_core.data.records import Blob, Shot, canonical, digest_of
from lumosx_core.data.store import Blobs, StageResult
from lumosx_core.errors import InputError
from lumosx_core.files.images import decoded, encoded_png
from lumosx_core.files.json import parse_record


class DroppedError(Exception):
    """Nothing can be made of this clip. reason: one word for tables ("no_person"); the text: more."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


class StopRunError(InputError):
    """Nothing can be done for any clip now: the run stops, and nothing is noted of this one."""


@dataclass(kw_only=True, eq=False)
class ClipWork:
    """A clip while its stages run. records: what is known so far, by stage. caption: what was given beside the video. models:
    digest of the models behind the finders, which are made when they are needed first."""

    path: Path
    shot: Shot
    caption: str
    config: CollectConfig
    models: str
    make_components: Callable[[], Components]
    blobs: Blobs
    records: dict[str, Any] = field(default_factory=dict)
    _pictures: list[Image.Image] = field(default_factory=list)
    _clip: np.ndarray | None = None

    @property
    def components(self) -> Components:
        """The finders."""
        return self.make_components()

    @property
    def pictures(self) -> list[Image.Image]:
        """The selected frames, RGB."""
        if not self._pictures:
            self._pictures = [read_png(self.blobs, frame.picture) for frame in self.records["frames"].frames]
        return self._pictures

    @property
    def frames(self) -> np.ndarray:
        """All frames of the shot, uint8 [F, H, W, 3], decoded once."""
        if self._clip is None:
            from lumosx_core.data.decoding import read_clip

            shots = self.config.shots
            self._clip, _ = read_clip(
                self.path, self.shot.start_s, self.shot.frames, self.shot.fps, short_side=shots.short_side, hdr=shots.hdr
            )
        return self._clip

    def mask(self, blob: Blob) -> np.ndarray:
        """A stored mask, bool [H, W]."""
        return read_mask(self.blobs, blob)

    def keep_mask(self, mask: np.ndarray) -> Blob:
        """Store a mask bool [H, W]."""
        return self.blobs.put(encoded_png(Image.fromarray(mask)))


def stored_work(path: Path, shot: Shot, config: CollectConfig, blobs: Blobs, records: dict[str, Any]) -> ClipWork:
    """A clip of which all is known, for stages that ask no finder."""

    def nobody() -> Components:
        raise AssertionError("this stage asks no finder")

    return ClipWork(
        path=path, shot=shot, caption="", config=config, models="", make_components=nobody, blobs=blobs, records=records
    )


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage. version: counted up when its results change. section: of the configuration. needs: stages whose records it
    reads. record: their kind. looks: whether it uses the finders. given: whether it reads the caption that was given.
    own_models: digest of models that no other stage uses, empty where there are none.
    """

    name: str
    version: int
    section: str
    needs: tuple[str, ...]
    record: type
    run: Callable[[ClipWork], Any]
    looks: bool = False
    given: bool = False
    own_models: Callable[[CollectConfig], str] | None = None

    def key(self, work: ClipWork, results: Mapping[str, StageResult]) -> str:
        """What its result depends on, as one digest."""
        own_models = "" if self.own_models is None else self.own_models(work.config)
        return digest_of(
            [
                self.name,
                self.version,
                asdict(getattr(work.config, self.section)),
                asdict(work.config.shots) if not self.needs else [digest_of(results[n].record.encode()) for n in self.needs],
                work.models if self.looks else "",
                work.caption if self.given else "",
                *([own_models] if own_models else []),
            ]
        )


def run_stages(stages: tuple[Stage, ...], work: ClipWork, known: Mapping[str, StageResult]) -> list[StageResult]:
    """Run what is not known yet or lacks its files, in order; all results, known and new. Ends at the first stage that drops
    the clip or fails."""
    results: dict[str, StageResult] = {}
    for stage in stages:
        key = stage.key(work, results)
        result = known.get(stage.name)
        if result is None or result.key != key or not work.blobs.holds(result):
            result = _run(stage, work, key)
        results[stage.name] = result
        if result.status != "done":
            break
        if stage.name not in work.records:
            work.records[stage.name] = parse_record(stage.record, result.content, f"the record of {stage.name}")
    return list(results.values())


def _run(stage: Stage, work: ClipWork, key: str) -> StageResult:
    begin = time.perf_counter()
    try:
        record = stage.run(work)
        work.records[stage.name] = record
        result = StageResult(stage=stage.name, key=key, status="done", record=canonical(record).decode())
    except DroppedError as drop:
        result = dropped_result(stage.name, key, drop)
    except StopRunError:
        raise
    except Exception as error:
        result = failed_result(stage.name, key, error)
    return replace(result, seconds=time.perf_counter() - begin)


def dropped_result(stage: str, key: str, drop: DroppedError) -> StageResult:
    """What is noted of a unit that a stage dropped."""
    told = canonical({"reason": drop.reason, "detail": drop.detail}).decode()
    return StageResult(stage=stage, key=key, status="dropped", record=told)


def failed_result(stage: str, key: str, error: Exception) -> StageResult:
    """What is noted of a unit over which a stage failed: message and traceback."""
    message = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
    told = canonical({"message": message, "traceback": traceback.format_exc()}).decode()
    return StageResult(stage=stage, key=key, status="failed", record=told)


def read_png(blobs: Blobs, blob: Blob) -> Image.Image:
    """A stored picture."""
    return decoded(blobs.get(blob))


def read_mask(blobs: Blobs, blob: Blob) -> np.ndarray:
    """A stored mask, bool [H, W]."""
    return np.asarray(read_png(blobs, blob).convert("L")) > 127
