"""The core imports one way, imports nothing of the host, and importing it does nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "lumosx_core"
NODES = ROOT / "nodes"
HOST = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "folder_paths", "latent_preview", "nodes", "server"}
# Single files of the core belong to one of two rooms.
FILES_OF = {
    "ground": {"__init__", "errors", "eyes", "numbers", "packages", "progress", "workers"},
    "words": {
        "owners", "prompt_tags", "references", "relations_file", "sample_folder", "strengths", "text_spans", "tokenized_prompt",
        "tokenizers", "word_borders",
    },
}  # fmt: skip
BASE = {"ground", "files", "words"}
UNDER_TRAINING = BASE | {"model", "drawing", "data", "sampling"}
# Every room of the core, lowest floor first, with what it may import beside itself.
ALLOWED: dict[str, set[str]] = {
    "ground": set(),
    "files": {"ground"},
    "words": {"ground", "files"},
    "puppets": BASE,
    "model": BASE,
    "detection": BASE,
    "drawing": BASE | {"model"},
    "data": BASE | {"detection", "puppets", "model", "drawing"},
    "sampling": BASE | {"model", "drawing"},
    "training": UNDER_TRAINING,
    "nano": UNDER_TRAINING | {"detection", "puppets", "training"},
    "evaluation": UNDER_TRAINING | {"detection", "puppets", "metrics"},
    # evaluation/metrics, and evaluation/binding.py, which they stand on: they read finished videos
    "metrics": BASE | {"detection", "puppets"},
    "checks": UNDER_TRAINING,
}
ALLOWED["cli"] = set(ALLOWED)
ALLOWED["__main__"] = {"cli"}
# What the nodes may import of the core; of the puppets for the embedded eyes.
NODES_MAY = BASE | {"detection", "puppets", "model", "drawing", "sampling"}


def room_of(module: str) -> str:
    """The room of "lumosx_core.x.y"; fails for a folder or file that no table lists."""
    parts = module.split(".")
    if len(parts) == 1:
        return "ground"
    if parts[1:3] in (["evaluation", "metrics"], ["evaluation", "binding"]):
        return "metrics"
    for room, names in FILES_OF.items():
        if parts[1] in names:
            return room
    assert parts[1] in ALLOWED and parts[1] not in FILES_OF, f"{module} is in no room; list it in this test"
    return parts[1]


def imports_of(path: Path) -> list[str]:
    """Absolute names of everything a file imports, also inside functions."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 or path.is_relative_to(NODES), f"{path}: relative import"
            found.append(str(node.module))
            if node.module == "lumosx_core":
                found += [f"lumosx_core.{alias.name}" for alias in node.names if alias.name != "__version__"]
    return found


FILES = sorted(CORE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way_and_never_to_the_host(path: Path) -> None:
    own = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for name in imports_of(path):
        assert name.split(".")[0] not in HOST, name
        if name.split(".")[0] == "lumosx_core":
            assert room_of(name) in ALLOWED[own] | {own}, f"{path.name} in {own} imports {name}"


@pytest.mark.parametrize("path", sorted(NODES.glob("*.py")), ids=lambda p: p.name)
def test_nodes_import_what_they_may(path: Path) -> None:
    for name in imports_of(path):
        if name.split(".")[0] == "lumosx_core":
            assert room_of(name) in NODES_MAY, f"{path.name} imports {name}"
        if name.split(".")[0] in HOST - {"comfy_api"}:
            assert path.name.startswith("comfy_"), f"{path.name} imports {name}; only comfy_*.py touch the host"


def test_every_folder_of_the_core_is_in_the_table() -> None:
    folders = {path.parent.relative_to(CORE).parts[0] for path in FILES if path.parent != CORE}
    assert folders == set(ALLOWED) - set(FILES_OF) - {"__main__", "metrics"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_ascii_and_short(path: Path) -> None:
    text = path.read_bytes().decode("ascii")
    assert text.count("\n") <= 400


def test_importing_the_core_loads_no_torch() -> None:
    code = "import sys, lumosx_core; print(sorted({'torch', 'numpy', 'PIL', 'diffusers'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert out.stdout.strip() == "[]"


def test_help_of_the_command_line_loads_no_torch() -> None:
    code = (
        "import sys\nfrom lumosx_core.cli.main import build_parser\nbuild_parser().format_help()\n"
        "print(sorted({'torch', 'diffusers', 'transformers', 'av'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert out.stdout.strip() == "[]"


def test_inspect_reads_the_sample_before_it_imports_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom lumosx_core.cli.main import main\nassert main(['inspect', sys.argv[1]]) == 2\n"
        "print(sorted({'torch', 'diffusers', 'transformers', 'av'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=True)
    assert out.stdout.strip() == "[]", out.stderr


def test_a_nano_video_loads_no_library_of_models(tmp_path: Path) -> None:
    """One class of diffusers or transformers, or torch's compiler, costs more than the video."""
    code = (
        "import sys\nfrom lumosx_core.cli.main import main\n"
        "assert main(['generate', 'lumosx_core/assets/samples/two_people', '--out', sys.argv[1], '--steps', '1', '--frames', "
        "'1']) == 0\nprint(sorted({'diffusers', 'transformers', 'torch._dynamo', 'scipy', 'sympy'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    out = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert out.stdout.splitlines()[-1] == "[]"
