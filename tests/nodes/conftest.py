"""The ComfyUI that the host tests run in: COMFYUI_ROOT, a parent folder that is one, or ~/comfy/ComfyUI."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def comfyui_root() -> Path | None:
    """The folder of a ComfyUI, or None."""
    named = os.environ.get("COMFYUI_ROOT")
    places = [Path(named)] if named else [*ROOT.parents, Path.home() / "comfy" / "ComfyUI"]
    return next((place for place in places if (place / "comfy" / "model_patcher.py").is_file()), None)


@pytest.fixture(scope="session")
def comfyui() -> Path:
    """ComfyUI importable in this process, on the CPU; its folder. Skips where there is none."""
    root = comfyui_root()
    if root is None:
        pytest.skip("NO COMFYUI: set COMFYUI_ROOT to a ComfyUI folder to run the host tests")
    sys.path.insert(0, str(root))
    from comfy.cli_args import args

    args.cpu = True
    try:
        import comfy.samplers  # noqa: F401
    except ModuleNotFoundError as error:
        pytest.skip(f"COMFYUI INCOMPLETE: {root} needs {error.name}: pip install -r {root / 'requirements.txt'}")
    return root


@pytest.fixture(scope="session")
def bridge(comfyui: Path) -> ModuleType:
    """`nodes/comfy_bridge.py`, imported as the host imports the pack: as a part of a package with any name."""
    assert comfyui.is_dir()
    name = "pack_under_test.comfy_bridge"
    spec = importlib.util.spec_from_file_location(name, ROOT / "nodes" / "comfy_bridge.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
