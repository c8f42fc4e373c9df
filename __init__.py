"""LumosX for ComfyUI: videos of several people from pictures, each with their own face, clothes and things.

ComfyUI imports this file; the nodes, and torch with them, are imported when it asks for them. The folder may have any
name, so the core is made known to Python under its own (`lumosx_core`) without touching the search path.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

WEB_DIRECTORY = "./web"  # help pages and scripts for the browser


def _make_core_importable() -> None:
    """Register this folder's `lumosx_core`, unless one is imported already."""
    if "lumosx_core" in sys.modules:
        return
    folder = Path(__file__).parent / "lumosx_core"
    spec = importlib.util.spec_from_file_location(
        "lumosx_core", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["lumosx_core"] = module
    spec.loader.exec_module(module)


async def comfy_entrypoint() -> Any:
    """The extension that ComfyUI loads. Raises ImportError, with the command that installs it, for a missing package."""
    _make_core_importable()
    from lumosx_core.packages import missing_package, missing_text

    try:
        from .nodes import LumosXExtension
    except ImportError as error:
        if package := missing_package(error):
            raise ImportError(missing_text(package)) from error
        raise

    return LumosXExtension()
