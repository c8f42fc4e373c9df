"""What a video will cost, told while its size and its pictures are still chosen: the reckoning of a run, without its pictures.

The page asks for it (`comfy_routes.py`) and shows it in LumosX Encode References.
"""

from dataclasses import asdict, dataclass
from typing import Any

from lumosx_core.errors import InputError
from lumosx_core.files.json import parse_json, parse_record
from lumosx_core.text_spans import BoundReference

from .told_work import Work, checked_size, nano_warning, work_of
from .words_while_typing import SOURCE, chosen_sample

MOST_PICTURES = 500  # of one question; far beyond what the model's positions can tell apart


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A video as far as its cost goes.

    width, height: pixels. length: frames. nano: whether the VAE is the embedded model's. background: whether there is one.
    objects: how many. subjects: of each connected person how many pictures, faces by one view. sample: the choice of a LumosX
    Sample Folder that is connected as a whole, "" for none.
    """

    width: int
    height: int
    length: int
    nano: bool = False
    background: bool = False
    objects: int = 0
    subjects: tuple[int, ...] = ()
    sample: str = ""

    def __post_init__(self) -> None:
        if min((self.objects, *self.subjects)) < 0 or len(self.subjects) + self.objects + sum(self.subjects) > MOST_PICTURES:
            raise InputError(
                f"objects {self.objects} and pictures of subjects {self.subjects[:20]}, expected 0 to {MOST_PICTURES} together"
            )


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """work: None where a run refuses the size. warning: what a run warns of, or why it refuses; empty for neither."""

    work: Work | None = None
    warning: str = ""


def estimate(body: bytes) -> dict[str, Any]:
    """The `Estimate` for a `Plan` in JSON, as plain data. Raises InputError for what is no plan."""
    plan = parse_record(Plan, parse_json(body, SOURCE), SOURCE)
    try:
        size = checked_size(plan.width, plan.height, plan.length)
        work = work_of(size, _references(plan))
    except InputError as error:
        return asdict(Estimate(warning=str(error)))
    return asdict(Estimate(work=work, warning=nano_warning(size) if plan.nano else ""))


def _references(plan: Plan) -> list[BoundReference]:
    """In model order: background, objects, then subject by subject."""
    sample = chosen_sample(plan.sample)
    there = [(each.kind, each.subject) for each in sample.references.references()] if sample else []
    of_sample = [subject for _, subject in there if subject is not None]
    first = max(of_sample, default=-1) + 1
    background = plan.background or ("background", None) in there
    subjects = [*of_sample, *(first + index for index, pictures in enumerate(plan.subjects) for _ in range(pictures))]
    objects = plan.objects + there.count(("object", None))
    return [
        *([BoundReference(kind="background", subject=None, phrase="")] if background else []),
        *(BoundReference(kind="object", subject=None, phrase="") for _ in range(objects)),
        *(BoundReference(kind="attribute", subject=subject, phrase="") for subject in subjects),
    ]
