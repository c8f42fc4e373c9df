"""A package that is missing is told with the very command that installs it into the Python that runs."""

import importlib.metadata
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lumosx_core.errors import InputError

REQUIREMENTS = Path(__file__).parent.parent / "requirements.txt"  # is there in the pack, not in an installed package
# What must be asked for together: a new diffusers needs a newer huggingface-hub than an older transformers bears, and pip looks
# after packages that are installed already only where they are asked for too.
TOGETHER = {"diffusers": ("transformers", "diffusers")}
# What is imported under another name than it is installed by.
INSTALLED_AS = {"PIL": "pillow", "segment_anything": "segment-anything", "cv2": "opencv-python-headless"}


def requirements() -> dict[str, str]:
    """Name -> line with its lowest version, of requirements.txt: "einops" -> "einops>=0.8"."""
    text = REQUIREMENTS.read_text("utf-8") if REQUIREMENTS.is_file() else ""
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    return {re.split(r"[<>=!~ ]", line, maxsplit=1)[0].lower(): line for line in lines if line}


def install_command(packages: Sequence[str], *, python: str | None = None, windows: bool | None = None) -> str:
    """The command line that installs these packages (names, or lines like "einops>=0.8"), at the versions of requirements.txt,
    into one Python.

    python: the interpreter; by default the one that runs. windows: quote its path for cmd instead of a POSIX shell.
    ComfyUI's portable build (a folder python_embeded) starts its Python with -s, so that the user's own packages stay out.
    """
    python = sys.executable if python is None else python
    windows = sys.platform == "win32" if windows is None else windows
    known = requirements()
    asked = dict.fromkeys(each for package in packages for each in TOGETHER.get(package.lower(), (package,)))
    lines = [known.get(package.lower(), package) for package in asked]
    wanted = [f'"{line}"' if re.search(r"[<>\s]", line) else line for line in lines]
    embedded = " -s" if "python_embeded" in re.split(r"[\\/]", python) else ""
    if windows:
        place = f'"{python}"' if re.search(r"[\s&()^;,=]", python) else python
    else:
        place = shlex.quote(python)
    return f"{place}{embedded} -m pip install {' '.join(wanted)}"


def lacking_packages(*names: str) -> str:
    """Those that are not installed, with the command that installs them; empty if all are."""
    missing = []
    for name in names:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    return f"{' and '.join(missing)}, run  {install_command(missing)}" if missing else ""


def missing_package(error: BaseException) -> str | None:
    """The package whose module an import did not find, looking through the errors that libraries put around it (diffusers: a
    RuntimeError); None if that is not what happened, or it is no package of requirements.txt."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ModuleNotFoundError) and seen.name:
            module = seen.name.split(".")[0]
            package = INSTALLED_AS.get(module, module)
            return package if package.lower() in requirements() else None
        seen = seen.__cause__
    return None


@contextmanager
def tell_missing_packages() -> Iterator[None]:
    """Inside the block, a missing package of the pack is an InputError that names it and the command that installs it."""
    try:
        yield
    except InputError:
        raise
    except (ImportError, RuntimeError) as error:
        package = missing_package(error)
        if package is None:
            raise
        raise InputError(missing_text(package)) from error


def missing_text(package: str) -> str:
    """What to tell about a package that is missing."""
    return f"the package {package} is missing in this Python; run  {install_command([package])}  and start ComfyUI again"
