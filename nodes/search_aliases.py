"""Further words under which ComfyUI's search finds a node, where the host knows of them."""

from dataclasses import fields

from comfy_api.latest import io

# What people type who know this kind of work from other models.
VIDEO_OF_REFERENCES = ("reference to video", "subject to video", "s2v", "r2v", "phantom", "consistent character")
SAME_PERSON = ("consistent character", "same person", "ipadapter")


def search_aliases(*words: str) -> dict[str, list[str]]:
    """The argument of `io.Schema` for it; nothing in a host that has none, such as 0.8."""
    known = any(field.name == "search_aliases" for field in fields(io.Schema))
    return {"search_aliases": list(words)} if known else {}
