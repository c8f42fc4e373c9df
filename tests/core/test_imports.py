"""The core imports one way, imports nothing of the host, and importing it does nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "lumosx_core"
# Each package may import itself and those named; single files of the core count as "base".
ALLOWED = {
    "base": {"base", "files"},
    "files": {"base", "files"},
    "puppets": {"base", "files", "puppets"},
    "model": {"base", "files", "model"},
    "sampling": {"base", "files", "model", "sampling"},
    "training": {"base", "files", "puppets", "model", "sampling", "training"},
    "evaluation": {"base", "files", "puppets", "model", "sampling", "evaluation"},
    "cli": {"base", "files", "puppets", "model", "sampling", "training", "evaluation", "cli"},
}


def package_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ALLOWED else "base"


def imports_of(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.append(str(node.module))
    return found


FILES = sorted(CORE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_one_way_and_never_to_the_host(path: Path) -> None:
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    own = package_of(module)
    for name in imports_of(path):
        assert name.split(".")[0] not in ("comfy", "comfy_api", "comfy_extras", "folder_paths", "nodes", "server"), name
        if not name.startswith("lumosx_core") or module == "lumosx_core.__main__":
            continue
        assert package_of(name) in ALLOWED[own], f"{module} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_ascii_and_short(path: Path) -> None:
    text = path.read_bytes().decode("ascii")
    assert text.count("\n") <= 450


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
