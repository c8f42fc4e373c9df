"""Where the ComfyUI is that the tests run in."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]


def comfyui_root() -> Path | None:
    """The folder of a ComfyUI: COMFYUI_ROOT, else a parent folder that is one, else ~/comfy/ComfyUI; None where none is."""
    named = os.environ.get("COMFYUI_ROOT")
    places = [Path(named)] if named else [*ROOT.parents, Path.home() / "comfy" / "ComfyUI"]
    return next((place for place in places if (place / "comfy" / "model_patcher.py").is_file()), None)
