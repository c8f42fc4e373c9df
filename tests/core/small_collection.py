"""A small collection of puppet clips, made from mp4 files alone."""

from dataclasses import dataclass
from pathlib import Path

from lumosx_core.data.collect import collect
from lumosx_core.data.collect_config import PUPPETS, CollectConfig
from lumosx_core.data.collected import CollectReport
from lumosx_core.data.engine import ProcessEngine
from lumosx_core.puppets.clip import ClipSpec
from lumosx_core.sampling.pipeline import NANO_FOLDER
from lumosx_core.tokenizers import load_tokenizer

COUNT = 3


@dataclass
class Collected:
    """A dataset, what it was made of, and the report of the first run."""

    out: Path
    videos: Path
    specs: list[ClipSpec]
    report: CollectReport


def run_collect(videos: Path, out: Path, config: CollectConfig = PUPPETS, **options: object) -> CollectReport:
    tokenizer = load_tokenizer(NANO_FOLDER / "spiece.model")
    return collect([videos], out, config, tokenizer, **{"engine": ProcessEngine(workers=1), **options})  # type: ignore[arg-type]
