"""Every socket of the pack has a colour of its own in the page."""

import re
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "web" / "js" / "socket_colours.js"
SOCKETS = Path(__file__).parents[2] / "nodes" / "io_types.py"


def test_every_socket_has_a_colour_of_its_own() -> None:
    colours = dict(re.findall(r"(LUMOSX_\w+): '(#[0-9a-f]{6})'", SCRIPT.read_text("utf-8")))
    assert colours.keys() == set(re.findall(r'io\.Custom\("(\w+)"\)', SOCKETS.read_text("utf-8")))
    assert len(set(colours.values())) == len(colours)
