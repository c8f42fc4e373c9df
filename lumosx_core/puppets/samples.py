"""The embedded sample folders, and the truth beside them that lets the scorer judge a video of them."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import write_text
from lumosx_core.files.images import save_png
from lumosx_core.puppets.clip import ClipSpec, sample_clip
from lumosx_core.puppets.pictures import puppet_sample
from lumosx_core.puppets.render import render_clip
from lumosx_core.puppets.spec import PuppetSpec
from lumosx_core.references import ReferenceSet, prepare_reference_image
from lumosx_core.sample_folder import write_sample

SAMPLES_FOLDER = Path(__file__).parent.parent / "assets" / "samples"
# Name, seed, people, attributes each, objects, background, colour words in the prompt. Everybody is from the held-out part.
EMBEDDED: tuple[tuple[str, int, int, int, int, bool, bool], ...] = (
    ("two_people", 203, 2, 2, 0, False, False),
    ("two_people_described", 63, 2, 2, 0, False, True),
    ("three_people", 84, 3, 1, 0, False, False),
    ("one_person_in_a_room", 104, 1, 3, 1, True, True),
)
PHOTOGRAPHS_FOLDER = SAMPLES_FOLDER.parent / "photographs"
# Name, seed, people. Everybody is from the held-out part and wears two things.
PHOTOGRAPHS: tuple[tuple[str, int, int], ...] = (("one_person", 71, 1), ("two_people", 72, 2))
ENLARGED = 4  # pixels of a photograph for each of the rendered ones
# Distinct colours (32 levels per channel) of a picture at the embedded model's size. Of 480 pictures of the puppet world none
# has more than 14; photographs have hundreds, grey ones up to 32.
PUPPET_COLOURS = 24
TRUTH_FILE = ".truth.json"  # hidden: not a part of the published sample folder


def write_embedded_samples(folder: Path) -> list[Path]:
    """Write all embedded samples anew, each as a folder below `folder`; the same files every time."""
    written = []
    for name, seed, people, attributes, objects, background, described in EMBEDDED:
        rng = np.random.default_rng(seed)
        clip = sample_clip(
            rng, people=people, attributes=attributes, objects=objects, described=described, held_out=True, frames=17
        )
        written.append(write_puppet_sample(folder / name, clip, rng, background=background))
    return written


def photograph_spec(seed: int, people: int) -> ClipSpec:
    """What is in an embedded photograph."""
    rng = np.random.default_rng(seed)
    return sample_clip(rng, people=people, attributes=2, objects=0, described=True, held_out=True, frames=1)


def write_embedded_photographs(folder: Path) -> list[Path]:
    """Write all embedded photographs of the puppet world anew, as <name>.png; the same pixels every time."""
    written = []
    for name, seed, people in PHOTOGRAPHS:
        pixels = render_clip(photograph_spec(seed, people)).frames[0]
        picture = Image.fromarray(pixels.repeat(ENLARGED, 0).repeat(ENLARGED, 1))
        written.append(folder / f"{name}.png")
        save_png(picture, written[-1])
    return written


def write_puppet_sample(folder: Path, clip: ClipSpec, rng: np.random.Generator, *, background: bool = False) -> Path:
    """Write prompt and reference pictures of a clip as a sample folder, with its people in `.truth.json`."""
    sample = puppet_sample(rng, clip, background=background)
    write_sample(folder, sample)
    write_truth(folder, clip.puppets)
    return folder


def write_truth(folder: Path, puppets: tuple[PuppetSpec, ...]) -> None:
    """Writes who should be seen in a video of the sample, for `read_truth`."""
    text = json.dumps({"puppets": [puppet.to_dict() for puppet in puppets]}, indent=1) + "\n"
    write_text(folder / TRUTH_FILE, text)


def read_truth(folder: Path) -> tuple[PuppetSpec, ...]:
    """Who should be seen in a video of the sample. Raises InputError without a `.truth.json`."""
    path = folder / TRUTH_FILE
    if not path.is_file():
        raise InputError(f"{folder} has no {TRUTH_FILE}; only samples of the puppet world can be scored")
    return tuple(PuppetSpec.from_dict(record) for record in json.loads(path.read_text("utf-8"))["puppets"])


def photographs(references: ReferenceSet, width: int, height: int) -> list[str]:
    """Kind and phrase of the pictures that have far more colours than drawn puppets and their things, at that size."""
    strange = []
    for reference in references.references():
        pixels = np.asarray(prepare_reference_image(reference.image, width, height)) // 8
        if len(np.unique(pixels.reshape(-1, 3), axis=0)) > PUPPET_COLOURS:
            strange.append(f"{reference.kind} {reference.phrase!r}")
    return strange
