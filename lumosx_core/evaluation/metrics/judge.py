"""What a model that looks at pictures says: is this very thing worn by this very person? Yes or no, with how sure it is.

Of every thing the judge sees the face of its owner, the thing, and frames of the video: a second opinion beside `binding`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.evaluation.metrics.metric import Figure, Metric
from lumosx_core.files.images import encoded_jpeg, rgb_on_white
from lumosx_core.files.videos import spread_frames
from lumosx_core.references import Subject
from lumosx_core.sample_folder import read_sample

FRAMES = 3  # that the judge sees, evenly spread
LARGEST = 640  # pixels of a side of a picture that the judge sees
DIGITS = 4
SURE = 0.5  # above it the answer is yes
# (question, JPEG files) -> probability of yes, 0..1, or why there is none
Ask = Callable[[str, Sequence[bytes]], float | str]


@dataclass(frozen=True)
class Judge(Metric):
    """The metric. ask: None where nobody is asked."""

    ask: Ask | None = None

    VERSION = 2
    FAULTS = frozenset[str]()

    def score(self, video: np.ndarray, sample: Path) -> dict[str, Any]:
        """`frames`, the numbers of those that were shown; `things`: subject, phrase, `yes`, the probability of yes or null, and
        `why` there is none. Raises InputError without a judge, and if it stays away."""
        if self.ask is None:
            raise InputError("the metric judge needs a server with a model; name them with --judge and --judge-url")
        chosen = spread_frames(len(video), FRAMES)
        frames = [jpeg(Image.fromarray(video[frame])) for frame in chosen]
        things = []
        for n, subject in enumerate(read_sample(sample).references.subjects):
            for item in subject.attributes:
                face = [] if subject.face is None else [jpeg(subject.face)]
                answer = self.ask(question(subject, item.phrase, len(frames)), [*face, jpeg(item.image), *frames])
                yes, why = (None, answer) if isinstance(answer, str) else (round(answer, DIGITS), "")
                things.append({"subject": n, "phrase": item.phrase, "yes": yes, "why": why})
        return {"frames": chosen.tolist(), "things": things}

    def missing(self, sample: Path) -> dict[str, Any]:
        """The values of a sample that has no video: no to everything, without asking."""
        subjects = read_sample(sample).references.subjects
        things = [
            {"subject": n, "phrase": item.phrase, "yes": 0.0, "why": ""}
            for n, subject in enumerate(subjects)
            for item in subject.attributes
        ]
        return {"frames": [], "things": things}

    def figures(self, values: dict[str, Any]) -> dict[str, Figure]:
        """Things that the judge says yes to (by more than half), what it answers, and how sure of yes it is in the mean. What
        it does not answer is in none but *answered*."""
        known = [thing["yes"] for thing in values["things"] if thing["yes"] is not None]
        asked, answered = float(len(values["things"])), float(len(known))
        return {
            "yes": (float(sum(yes > SURE for yes in known)), answered),
            "answered": (answered, asked),
            "sureness of yes": (float(sum(known)), answered),
        }

    def note(self, values: dict[str, Any]) -> str:
        """ "red hat of person 1: yes (0.93); blue jacket of person 2: no answer (the answer is neither yes nor no)"."""
        told = []
        for thing in values["things"]:
            yes = thing["yes"]
            said = f"no answer ({thing['why']})" if yes is None else f"{'yes' if yes > SURE else 'no'} ({yes:.2f})"
            told.append(f"{thing['phrase']} of person {thing['subject'] + 1}: {said}")
        return "; ".join(told)


def question(subject: Subject, phrase: str, frames: int) -> str:
    """What the judge is asked about one thing."""
    if subject.face is None:
        first, who = "Picture 1 shows a thing", "anybody"
    else:
        first, who = "Picture 1 shows a person, picture 2 a thing", "this very person"
    shown = "the last picture is a frame" if frames == 1 else f"the last {frames} pictures are frames"
    return f"{first} ({phrase}); {shown} of a video. Does {who} wear or hold this very thing in the video? Answer yes or no."


def jpeg(picture: Image.Image) -> bytes:
    """A JPEG file of the picture, no larger than the judge needs."""
    rgb = rgb_on_white(picture)
    rgb.thumbnail((LARGEST, LARGEST))
    return encoded_jpeg(rgb, 92)
