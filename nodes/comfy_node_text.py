"""A line of text inside a node while it runs and after it."""

import sys


def show_text(text: str, node: str | None) -> None:
    """Shows the text in the node of that id; does nothing where no server runs or the node is not known."""
    server = sys.modules.get("server")  # not imported: where none runs, that would start half of a host
    running = getattr(getattr(server, "PromptServer", None), "instance", None)
    if running is not None and node is not None:
        running.send_progress_text(text, node)
