"""Further words under which ComfyUI's search finds a node, where the host knows of them."""

from dataclasses import fields

from comfy_api.latest import io


def search_aliases(*words: str) -> dict[str, list[str]]:
    """The argument of `io.Schema` for it; nothing in a host that has none, such as 0.8."""
    known = any(field.name == "search_aliases" for field in fields(io.Schema))
    return {"search_aliases": list(words)} if known else {}
