"""The nodes work without the package transformers being imported, and say what to do where a package is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lumosx_core.errors import InputError

ROOT = Path(__file__).parents[2]

# A process in which transformers is a shell with what the host itself takes from it by name, and nothing works in it. diffusers
# is told that it is not installed.
SCRIPT = """
import importlib.util, os, sys, types
from pathlib import Path
comfy, root, empty = sys.argv[1:]
sys.path.insert(0, comfy)
used = []
class Shell(types.ModuleType):
    __path__ = []
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        frame = sys._getframe(1)
        while frame.f_globals.get("__name__", "").startswith("importlib"):  # from transformers import ...
            frame = frame.f_back
        used.append((self.__name__, name, frame.f_globals.get("__name__", "")))
        return type(name, (), {})
sys.modules["transformers"] = Shell("transformers")
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "transformers" else find(name, package)
from comfy.cli_args import args
args.cpu = True
import folder_paths
folder_paths.temp_directory = folder_paths.input_directory = empty
folder_paths.models_dir = empty
spec = importlib.util.spec_from_file_location("pack", root + "/__init__.py", submodule_search_locations=[root])
pack = importlib.util.module_from_spec(spec)
sys.modules["pack"] = pack
spec.loader.exec_module(pack)
import asyncio
import torch
mode = torch.inference_mode()
mode.__enter__()  # as the host runs its nodes
nodes = asyncio.run(asyncio.run(pack.comfy_entrypoint()).get_node_list())
by_id = {node.GET_SCHEMA().node_id: node for node in nodes}
model, clip, vae, *_ = by_id["LumosXNano"].execute().args
*subjects, thing, background, prompt, _, _, _, _ = by_id["LumosXSampleFolder"].execute("two_people_described").args
growing = {f"subject_{number}": each for number, each in enumerate(subjects, start=1)}
graph, prompt, _ = by_id["LumosXRelationGraph"].execute(clip, prompt, growing, {"object_1": thing}, background).args
references, latent = by_id["LumosXEncodeReferences"].execute(graph, vae, 64, 48, 5).args
said, empty_text = (clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in (prompt, ""))
for solver in ("dpmpp_2m", "unipc", "euler"):
    out, record = by_id["LumosXSampler"].execute(
        model, references, said, empty_text, latent, 1, 2, 2.0, 3.0, solver, record_attention=True
    ).args
    assert out["samples"].shape == (1, 16, 2, 6, 8) and out["samples"].isfinite().all()
by_id["LumosXInspect"].execute(graph, references, record, vae.decode(out["samples"]).reshape(-1, 48, 64, 3))
foreign = sorted({each for each in used if not each[2].startswith("comfy")})
print("NODES", len(by_id), "FOREIGN", foreign, "LOADED", [name for name in sys.modules if name.startswith("transformers.")])
"""


def test_the_nodes_run_with_transformers_blocked(comfyui: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": ""}
    command = [sys.executable, "-c", SCRIPT, str(comfyui), str(ROOT), str(tmp_path)]
    out = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False, timeout=300)
    assert out.returncode == 0, out.stderr[-3000:]
    count = len(json.loads((Path(__file__).parent / "object_info.json").read_text("utf-8")))
    assert out.stdout.splitlines()[-1] == f"NODES {count} FOREIGN [] LOADED []"


def test_a_missing_package_is_told_in_the_node(pack: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import folder_paths

    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))
    monkeypatch.setitem(sys.modules, "ftfy", None)
    graphs = pack("nodes.conditioning_nodes")  # type: ignore[operator]
    models = pack("nodes.comfy_models")  # type: ignore[operator]
    from PIL import Image

    from lumosx_core.references import Subject
    from lumosx_core.sampling.pipeline import NANO_FOLDER

    man = Subject(name="man", face=Image.new("RGB", (8, 8)))
    clip = models.nano_models(NANO_FOLDER)[1]
    with pytest.raises(InputError, match="the package ftfy is missing in this Python; run  .* -m pip install .ftfy>=6.1."):
        graphs.RelationGraphNode.execute(clip, "a man", {"subject_1": man})
