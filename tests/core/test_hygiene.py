"""What would go into the archive of the Comfy registry: git's files without those of .comfyignore, as comfy-cli takes them.

The registry and the Manager look for code that can run anything, reads the environment or fetches files; what they flag is
not installed. Files that are new and not ignored count too, so that nothing waits for the commit to be found.
"""

import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
LARGEST = 16 * 2**20  # bytes
FORBIDDEN = {
    "calls of eval or exec": re.compile(r"(?<![\w])(?:eval|exec)\(|\.eval\("),
    "the environment": re.compile(r"\bos\.(?:environ|getenv|putenv)\b"),
    "other programs": re.compile(r"\bsubprocess\b|\bos\.(?:system|popen|exec\w+|spawn\w+)\("),
    "wheels": re.compile(r"\.whl\b"),
    "places that host files": re.compile(
        r"raw\.githubusercontent|github\.com/\S+/(?:raw|releases)/|huggingface\.co/\S+/(?:resolve|raw)/|hf\.co/", re.I
    ),
    "installing": re.compile(r"""["']-m["'],\s*["']pip["']|\bpip\.main\b|\bensurepip\b"""),
    "unsafe pickles": re.compile(r"\bpickle\.loads?\(|weights_only\s*=\s*False"),
}
# lumosx_core/cli is the command line, which a host never imports.
SCANNED = ("__init__.py", "nodes/", "lumosx_core/")
NOT_SCANNED = ("lumosx_core/cli/",)


def git_files(*options: str) -> set[str]:
    """Paths from `git ls-files`."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", *options]
    found = subprocess.run(command, capture_output=True, text=True)
    if found.returncode:
        pytest.skip(f"NO GIT REPOSITORY: {found.stderr.strip()}")
    return {path for path in found.stdout.split("\0") if path and (ROOT / path).is_file()}


@pytest.fixture(scope="module")
def archive() -> set[str]:
    """Paths of the archive."""
    return git_files("--exclude-standard") - git_files("--ignored", "--exclude-from=.comfyignore")


def test_the_archive_has_what_the_host_needs_and_no_more(archive: set[str]) -> None:
    needed = {
        "__init__.py",
        "pyproject.toml",
        "requirements.txt",
        "README.md",
        "LICENSE",
        "nodes/__init__.py",
        "lumosx_core/assets/nano/transformer.safetensors",
        "lumosx_core/training/train.py",
        "web/docs/LumosXNano.md",
        "web/docs/LumosXNano/zh.md",
        "locales/en/nodeDefs.json",
        "locales/zh/nodeDefs.json",
        "workflows/LumosX nano - two people.json",
        "subgraphs/LumosX two people.json",
    }
    assert needed <= archive, needed - archive
    tops = {path.split("/")[0] for path in archive}
    assert tops <= {
        "__init__.py",
        "nodes",
        "lumosx_core",
        "workflows",
        "subgraphs",
        "web",
        "locales",
        "requirements.txt",
        "README.md",
        "pyproject.toml",
        "LICENSE",
        ".comfyignore",
    }


def test_names_are_ones_that_every_system_and_comfy_cli_can_store(archive: set[str]) -> None:
    """comfy-cli reads the names that `git ls-files` prints, where others than these are quoted and lost."""
    assert not [path for path in archive if not re.fullmatch(r"[A-Za-z0-9 ._,/-]+", path)]
    lower = [path.lower() for path in archive]
    assert len(set(lower)) == len(lower)


def test_no_file_is_too_large(archive: set[str]) -> None:
    assert not [path for path in archive if (ROOT / path).stat().st_size > LARGEST]


def test_code_is_ascii() -> None:
    code = [path for path in git_files("--exclude-standard") if path.endswith((".py", ".js"))]
    assert not [path for path in code if not (ROOT / path).read_bytes().isascii()]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_is_there_that_scanners_flag(archive: set[str], what: str) -> None:
    found = []
    for path in sorted(archive):
        if path.endswith(".py") and path.startswith(SCANNED) and not path.startswith(NOT_SCANNED):
            for number, line in enumerate((ROOT / path).read_text("utf-8").splitlines(), start=1):
                if FORBIDDEN[what].search(line):
                    found.append(f"{path}:{number}: {line.strip()}")
    assert not found, f"{what}:\n" + "\n".join(found)


def test_scripts_fetch_nothing(archive: set[str]) -> None:
    for path in archive:
        if path.endswith(".js"):
            assert not re.search(r"https?://|\beval\(|\bFunction\(|innerHTML", (ROOT / path).read_text("utf-8")), path


def test_requirements_leave_torch_and_numpy_alone() -> None:
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines()]
    names = []
    for line in filter(None, lines):
        match = re.fullmatch(r"([A-Za-z0-9_.-]+)>=[0-9.]+", line)
        assert match, f"{line}: only lower bounds, no urls, no options"
        names.append(match[1].lower())
    assert not {"torch", "torchvision", "torchaudio", "xformers", "opencv-python"} & set(names)
    assert names[-1] == "insightface"  # the most fragile one last: the Manager stops at the first line that fails


def test_the_registry_finds_what_it_asks_for() -> None:
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    comfy = project["tool"]["comfy"]
    assert (comfy["PublisherId"], comfy["DisplayName"], comfy["requires-comfyui"]) == ("lumosx", "LumosX", ">=0.8.0")
    assert "web" not in comfy  # WEB_DIRECTORY says it; with both, every script would be loaded twice
    assert project["project"]["dynamic"] == ["version"]
    text = (ROOT / comfy["version"]["path"]).read_text("utf-8")
    assert len(re.findall(r'^__version__ = "\d+\.\d+\.\d+"$', text, re.MULTILINE)) == 1


def test_every_workflow_has_a_thumbnail() -> None:
    """The frontend shows workflows/<name>.jpg beside <name>.json, a square: a frame of a real run of the embedded model, or the
    puppets that stand for the user's pictures where a workflow needs other weights (tests/nodes/make_pictures.py)."""
    workflows = {path.stem for path in (ROOT / "workflows").glob("*.json")}
    for name in workflows:
        with Image.open(ROOT / "workflows" / f"{name}.jpg") as picture:
            assert picture.width == picture.height >= 400, name
    assert {path.stem for path in (ROOT / "workflows").glob("*.jpg")} == workflows and len(workflows) == 10
