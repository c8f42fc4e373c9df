"""Pages to look at: one HTML file with everything inside, which asks nothing of any server."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.files.atomic import write_text
from lumosx_core.files.images import encoded_jpeg, rgb_on_white
from lumosx_core.packages import install_command

HEAD = 2048  # bytes of a page in which it is said what it was made of
TEMPLATES = Path(__file__).parent.parent / "assets" / "pages"


def write_page(path: Path, template: str, values: Mapping[str, Any]) -> Path:
    """Write the page of a template of assets/pages, whole or not at all. Raises InputError if jinja2 is missing, or the disk
    refuses."""
    try:
        import jinja2
    except ImportError as error:
        raise InputError(f"pages need jinja2; run  {install_command(['jinja2'])}") from error
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, loader=jinja2.FileSystemLoader(TEMPLATES), trim_blocks=True
    )
    write_text(path, environment.get_template(template).render(values))
    return path


def is_made_of(path: Path, made_of: str) -> bool:
    """Whether there is a page that says in its head that it was made of this: `<meta name="made-of" content="...">`, as a
    template writes it that is given `made_of`."""
    try:
        with open(path, "rb") as file:
            return f'<meta name="made-of" content="{made_of}">'.encode() in file.read(HEAD)
    except OSError:
        return False


def data_uri(picture: Image.Image, width: int) -> str:
    """The picture on white, at most so many pixels wide, as a JPEG inside a URI."""
    picture = rgb_on_white(picture)
    picture.thumbnail((width, width))
    return "data:image/jpeg;base64," + base64.b64encode(encoded_jpeg(picture)).decode("ascii")
