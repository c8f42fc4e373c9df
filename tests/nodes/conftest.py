"""The ComfyUI that the host tests run in: COMFYUI_ROOT, a parent folder that is one, or ~/comfy/ComfyUI."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from comfyui_folder import comfyui_root
from host_server import HostServer

from lumosx_core.sampling.pipeline import NANO_FOLDER

ROOT = Path(__file__).parents[2]


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
        import utils.extra_config  # noqa: F401  # as main.py does, before nodes.py puts comfy/, with a utils.py in it, in front
    except ModuleNotFoundError as error:
        pytest.skip(f"COMFYUI INCOMPLETE: {root} needs {error.name}: pip install -r {root / 'requirements.txt'}")
    return root


@pytest.fixture(scope="session")
def pack(comfyui: Path) -> Callable[[str], ModuleType]:
    """pack("nodes.comfy_bridge"): a module of the pack, imported as the host does it, under a folder name of any kind."""
    assert comfyui.is_dir()
    name = "pack_under_test"
    spec = importlib.util.spec_from_file_location(name, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])
    assert spec is not None and spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)
    return lambda module: importlib.import_module(f"{name}.{module}")


@pytest.fixture(scope="session")
def server(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostServer]:
    """A running ComfyUI with this pack, the same for all tests: it takes half a minute to start."""
    host = HostServer(comfyui, tmp_path_factory.mktemp("host") / "base")
    yield host
    host.stop()


@pytest.fixture(scope="session")
def bridge(pack: Callable[[str], ModuleType]) -> ModuleType:
    """`nodes/comfy_bridge.py`."""
    return pack("nodes.comfy_bridge")


@pytest.fixture(scope="session")
def models(pack: Callable[[str], ModuleType]) -> ModuleType:
    """`nodes/comfy_models.py`."""
    return pack("nodes.comfy_models")


@pytest.fixture(scope="session")
def nano(models: ModuleType) -> tuple[Any, Any, Any]:
    """MODEL, CLIP and VAE of the embedded nano model."""
    return models.nano_models(NANO_FOLDER)


@pytest.fixture
def host_folders(comfyui: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the host's `input` and `temp` folders in it, for this test."""
    assert comfyui.is_dir()
    import folder_paths

    for name in ("input", "temp"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(folder_paths, f"{name}_directory", str(tmp_path / name))
    return tmp_path


@pytest.fixture
def models_folder(comfyui: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty models folder that the host takes for its own."""
    assert comfyui.is_dir()
    import folder_paths

    known = {name: entry for name, entry in folder_paths.folder_names_and_paths.items() if name not in ("sams", "insightface")}
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path / "models"))
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path / "temp"))
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    return tmp_path / "models"
