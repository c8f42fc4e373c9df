"""The words for a clip: those that were given beside the video, or written by a component that looked at it."""

import re

from lumosx_core.data.records import CaptionRecord
from lumosx_core.data.stage import ClipWork, DroppedError

# How captions begin that tell of a video instead of what it shows. Ours; the same habit is met with every captioning model.
LEAD_IN = re.compile(
    r"^\s*(?:in\s+(?:this|the)\s+(?:video|clip|scene|footage)\s*,?\s*|"
    r"(?:this|the)\s+(?:short\s+)?(?:video|clip|footage|scene)\s+"
    r"(?:shows|features|depicts|captures|presents|begins with|opens with)\s+|(?:here\s+)?we\s+(?:can\s+)?see\s+)",
    re.IGNORECASE,
)
MARKUP = re.compile(r"<[^<>]{1,200}>")


def write_caption(work: ClipWork) -> CaptionRecord:
    """One line of text. Drops a clip that has none."""
    settings = work.config.caption
    text, origin = work.caption, "given"
    if not text.strip() and settings.origin == "written" and work.components.captioner is not None:
        text, origin = work.components.captioner.describe(work.pictures), "written"
    text = tidy_caption(text)
    if not text:
        raise DroppedError("no_caption", "there is no text beside the video, and nobody wrote one")
    if len(text) > settings.longest:
        raise DroppedError("caption_too_long", f"{len(text)} characters, at most {settings.longest} are read")
    return CaptionRecord(text=text, origin=origin)


def tidy_caption(text: str) -> str:
    """The text in one line, without markup, control characters and lead-ins such as "The video shows"."""
    text = MARKUP.sub(" ", text)
    text = "".join(character if character.isprintable() else " " for character in text)
    text = " ".join(text.split())
    plain = LEAD_IN.sub("", text)
    if plain != text and plain:
        plain = plain[0].upper() + plain[1:]
    return plain
