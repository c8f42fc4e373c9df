"""The embedded sample folders, and the truth beside them that lets the scorer judge a video of them."""

import json
import os
import uuid
from pathlib import Path

import numpy as np

from lumosx_core.errors import InputError
from lumosx_core.puppets.spec import PuppetSpec
from lumosx_core.puppets.world import ClipSpec, puppet_sample
from lumosx_core.references import write_sample

SAMPLES_FOLDER = Path(__file__).parent.parent / "assets" / "samples"
TRUTH_FILE = ".truth.json"  # hidden: not a part of the published sample folder


def write_puppet_sample(
    folder: Path, clip: ClipSpec, rng: np.random.Generator, *, background: bool = False
) -> Path:
    """Write prompt and reference pictures of a clip as a sample folder, with its people in `.truth.json`."""
    sample = puppet_sample(rng, clip, background=background)
    write_sample(folder, sample)
    text = json.dumps({"puppets": [puppet.to_dict() for puppet in clip.puppets]}, indent=1) + "\n"
    temporary = folder / f".{uuid.uuid4().hex[:8]}.partial"
    temporary.write_text(text, "utf-8")
    os.replace(temporary, folder / TRUTH_FILE)
    return folder


def read_truth(folder: Path) -> tuple[PuppetSpec, ...]:
    """Who should be seen in a video of the sample. Raises InputError without a `.truth.json`."""
    path = folder / TRUTH_FILE
    if not path.is_file():
        raise InputError(f"{folder} has no {TRUTH_FILE}; only samples of the puppet world can be scored")
    return tuple(PuppetSpec.from_dict(record) for record in json.loads(path.read_text("utf-8"))["puppets"])
