"""What the metric `binding` says of true renders and of exchanged ones: run by hand.

    python tests/core/evaluation/binding_ceilings.py --count 60

Wanted: at least 99 % bound on true renders, at most 1 % where everybody wears the next person's things. With eyes that know
where everything is this measures the metric; with --analyser, the eyes of the puppet world, what those miss as well. Things
that the exact scorer calls hidden in the same frames are left out. --faults prints what is not judged as wanted.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[3]))  # run from anywhere, also without an installed package
from lumosx_core.detection.person import Eyes  # noqa: E402
from lumosx_core.evaluation.cases import PuppetCase, puppet_suite_cases, with_exchanged_things  # noqa: E402
from lumosx_core.evaluation.metrics.asked import OtherCases  # noqa: E402
from lumosx_core.evaluation.metrics.binding import Binding  # noqa: E402
from lumosx_core.evaluation.metrics.binding_sight import Sight  # noqa: E402
from lumosx_core.evaluation.phrase_nouns import noun_of  # noqa: E402
from lumosx_core.evaluation.statistics import rate_interval  # noqa: E402
from lumosx_core.evaluation.true_eyes import TrueEyes  # noqa: E402
from lumosx_core.eyes import Box, Found, FoundFace  # noqa: E402
from lumosx_core.puppets.analyser import PuppetAnalyser, words_of  # noqa: E402
from lumosx_core.puppets.analyser_network import load_network  # noqa: E402
from lumosx_core.puppets.clip import ClipSpec  # noqa: E402
from lumosx_core.puppets.draw import LABEL_HAIR, LABEL_HEAD  # noqa: E402
from lumosx_core.puppets.looks import PuppetFaces, PuppetLooks, face_colours, portrait_face  # noqa: E402
from lumosx_core.puppets.render import RenderedClip, render_clip  # noqa: E402
from lumosx_core.puppets.rooms import box_of  # noqa: E402
from lumosx_core.puppets.scorer import score_clip  # noqa: E402


class FrameEyes(TrueEyes):
    """Eyes that know the truth of every frame of a render, find things by their nouns, and see faces by their colours."""

    def __init__(self, clip: ClipSpec, rendered: RenderedClip) -> None:
        self.clip, self.rendered = clip, rendered
        self.by_pixels = {frame.tobytes(): number for number, frame in enumerate(rendered.frames)}
        parts = ("frames", "owner", "label", "face_boxes")
        super().__init__(
            [
                (clip, replace(rendered, **{part: getattr(rendered, part)[number : number + 1] for part in parts}))
                for number in range(len(rendered.frames))
            ]
        )

    def find_faces(self, picture: Image.Image) -> list[FoundFace]:
        """All heads of a frame, or the one of a portrait."""
        if (portrait := portrait_face(picture)) is not None:
            return [portrait]
        pixels = np.asarray(picture, np.float32)
        bare = np.isin(self.rendered.label[self.by_pixels[pixels.astype(np.uint8).tobytes()]], (LABEL_HEAD, LABEL_HAIR))
        faces = super().find_faces(picture)
        return [replace(face, embedding=face_colours(pixels[face.mask & bare])) for face in faces if face.mask is not None]

    def find_phrase(self, picture: Image.Image, phrase: str, within: Box | None = None) -> list[Found]:
        """What the person with that very box wears of the kind."""
        assert within is not None
        number, kind = self.by_pixels[np.asarray(picture).tobytes()], words_of(phrase)[2]
        boxes = self.rendered.puppet_boxes()[number]
        n = next(n for n, box in enumerate(boxes) if np.array_equal(box, within))
        if self.clip.puppets[n].attribute(str(kind)) is None:
            return []
        mask = self.rendered.attribute_mask(n, str(kind))[number]
        return [Found(box=box_of(mask), score=1.0, phrase=phrase, mask=mask)] if mask.any() else []


def true_eyes(clip: ClipSpec, rendered: RenderedClip) -> Eyes:
    """Those that know."""
    eyes = FrameEyes(clip, rendered)
    return Eyes(people=eyes, faces=eyes, phrases=eyes, masks=eyes)


def analyser_eyes(clip: ClipSpec, rendered: RenderedClip) -> Eyes:
    """Those of the puppet world, which see pixels alone."""
    del clip, rendered
    analyser = PuppetAnalyser(_network())
    return Eyes(people=analyser, faces=PuppetFaces(analyser), phrases=analyser, masks=analyser)


@dataclass(frozen=True)
class Judged:
    """One render: the case, whether it is an exchanged one, the values of the metric, and which things count."""

    case: PuppetCase
    exchanged: bool
    values: dict
    counts: tuple[bool, ...]

    @property
    def bound(self) -> tuple[float, float]:
        """(bound, counted)."""
        outcomes = [thing["outcome"] for thing, counts in zip(self.values["things"], self.counts, strict=True) if counts]
        return float(outcomes.count("bound")), float(len(outcomes) - outcomes.count("hidden"))


def judged_renders(
    cases: Sequence[PuppetCase],
    folder: Path,
    eyes_of: Callable[[ClipSpec, RenderedClip], Eyes] = true_eyes,
    first: int | None = None,
) -> Iterator[Judged]:
    """Every case, or the `first` ones, truly rendered and exchanged. folder: an empty one for the samples."""
    for case in cases:
        case.write(folder / case.name / "sample")
    others = OtherCases(folder, [case.name for case in cases], noun_of)
    known: dict = {}
    for case in cases[:first]:
        for exchanged in (False, True):
            clip = with_exchanged_things(case.clip) if exchanged else case.clip
            rendered = render_clip(clip)
            metric = Binding(Sight(eyes=eyes_of(clip, rendered), embedder=PuppetLooks(), others=others, known=known))
            exact = score_clip(rendered.frames, case.clip.puppets)
            counts = tuple(each.outcome != "hidden" for each in exact.attributes)
            yield Judged(case, exchanged, metric.score(rendered.frames, folder / case.name / "sample"), counts)


def main() -> None:
    """One line per suite."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=60, help="cases per suite")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--people", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--things", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--analyser", action="store_true", help="see with the eyes of the puppet world")
    parser.add_argument("--faults", action="store_true", help="print every thing that is not judged as wanted")
    options = parser.parse_args()
    for people in options.people:
        for things in options.things:
            cases = list(puppet_suite_cases(people, things, options.count, options.seed))
            told: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
            with TemporaryDirectory() as folder:
                for judged in judged_renders(cases, Path(folder), analyser_eyes if options.analyser else true_eyes):
                    told[judged.exchanged].append(judged.bound)
                    for thing, counts in zip(judged.values["things"], judged.counts, strict=True):
                        if options.faults and counts and (thing["outcome"] == "bound") == judged.exchanged:
                            print(f"  {judged.case.name} {'exchanged' if judged.exchanged else 'true'}: {thing}", flush=True)
            rates = ", ".join(
                f"{'exchanged' if exchanged else 'true'} {rate_interval(rows)} of {sum(asked for _, asked in rows):.0f}"
                for exchanged, rows in told.items()
            )
            print(f"{people} people, {things} things each: bound {rates}", flush=True)


_network = lru_cache(maxsize=1)(load_network)


if __name__ == "__main__":
    main()
