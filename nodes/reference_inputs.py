"""Inputs that several reference nodes have."""

from comfy_api.latest import io

from lumosx_core.references import MAX_STRENGTH

from .advanced_inputs import ADVANCED
from .comfy_eyes import EYES
from .io_types import AttributeSocket

LARGEST_SIDE = 16384  # pixels of a picture
MAX_ATTRIBUTES = 8  # sockets of one person
BoundingBoxes = io.Custom("BOUNDING_BOX")  # io.BoundingBox exists only in newer hosts


def boxes_input(tooltip: str) -> io.Input:
    """BOUNDING_BOX over a link."""
    return BoundingBoxes.Input("bboxes", optional=True, tooltip=tooltip, extra_dict={"forceInput": True})


def phrase_inputs() -> list[io.Input]:
    """The optional inputs that say how a prompt names a reference."""
    return [
        io.String.Input(
            "tag",
            default="",
            optional=True,
            tooltip="Short name for tags in the prompt: a subject tagged anna is written @anna, its attribute tagged hat "
            "@anna.hat. Letters, digits and underscores; may stay empty.",
            extra_dict=ADVANCED,
        ),
        io.Int.Input(
            "occurrence",
            default=0,
            min=0,
            max=1000,
            optional=True,
            tooltip="Which place in the prompt is meant if the words stand there several times: 1 is the first. 0: not said.",
            extra_dict=ADVANCED,
        ),
    ]


def strength_input(what: str) -> io.Input:
    """How much a picture or a person counts."""
    return io.Float.Input(
        "strength",
        default=1.0,
        min=0.0,
        max=MAX_STRENGTH,
        step=0.05,
        optional=True,
        tooltip=f"How much the video looks at {what}. 1: as published. 0: as if it were not there. Above 1: more, up to 2.",
        extra_dict=ADVANCED,
    )


def attributes_input(name: str, tooltip: str) -> io.Input:
    """A growing list of what belongs to a person."""
    return io.Autogrow.Input(
        name,
        optional=True,
        template=io.Autogrow.TemplateNames(
            AttributeSocket.Input("attribute", tooltip="From LumosX Attribute Reference."),
            names=[f"attribute_{number}" for number in range(1, MAX_ATTRIBUTES + 1)],
            min=0,
        ),
        tooltip=tooltip,
    )


def mask_inputs(tooltip: str) -> list[io.Input]:
    """A MASK, and whether it is the other way round."""
    return [
        io.Mask.Input("mask", optional=True, tooltip=tooltip),
        io.Boolean.Input(
            "invert_mask",
            default=False,
            optional=True,
            tooltip="Keep what is outside the mask. Switch it on for Load Image's mask of a transparent picture, which "
            "marks what is transparent.",
            extra_dict=ADVANCED,
        ),
    ]


def margin_input(default: float, tooltip: str) -> io.Input:
    """What is left around a thing, as a part of its longer side."""
    return io.Float.Input("margin", default=default, min=0.0, max=2.0, step=0.01, tooltip=tooltip)


def place_inputs(what: str) -> list[io.Input]:
    """Which one is meant where several are found; most often written by a click on the picture (web/js/draw_places.js).
    what: "face" or "person"."""
    ranges = {"min": 0, "max": LARGEST_SIDE, "default": 0, "extra_dict": ADVANCED}
    return [
        io.Int.Input(
            "index",
            default=1,
            min=1,
            max=100,
            tooltip=f"For left to right: 1 is the leftmost {what}.",
            extra_dict=ADVANCED,
        ),
        io.Int.Input("x", tooltip="For at point: pixels from the left edge.", **ranges),
        io.Int.Input("y", tooltip="For at point: pixels from the top edge.", **ranges),
    ]


def eyes_input(*, optional: bool = False) -> io.Input:
    """What people and things are found with."""
    return io.Combo.Input(
        "eyes",
        options=list(EYES),
        default=EYES[0],
        optional=optional,
        tooltip=("For phrase. " if optional else "")
        + "photographs: detectors in models/eyes; a message says which are missing, nothing is downloaded. "
        "puppets: the embedded eyes, for pictures of the puppet world that the nano model knows.",
    )


def tag_of(text: str) -> str | None:
    """A tag as the core wants it; users may write the @ of the prompt before it."""
    return text.strip().removeprefix("@") or None
