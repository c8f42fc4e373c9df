"""A missing package is told with the command that installs it into the very Python that runs."""

import shlex
import sys

import pytest

from lumosx_core import packages
from lumosx_core.errors import InputError

PORTABLE = r"C:\ComfyUI_windows_portable\python_embeded\python.exe"


@pytest.mark.parametrize(
    ("python", "windows", "command"),
    [
        ("/opt/comfy/bin/python", False, '/opt/comfy/bin/python -m pip install "einops>=0.8"'),
        ("/home/a b/venv/bin/python3", False, "'/home/a b/venv/bin/python3' -m pip install \"einops>=0.8\""),
        ("/opt/it's/python", False, "'/opt/it'\"'\"'s/python' -m pip install \"einops>=0.8\""),
        (PORTABLE, True, PORTABLE + ' -s -m pip install "einops>=0.8"'),
        (r"C:\Program Files\Python\python.exe", True, r'"C:\Program Files\Python\python.exe" -m pip install "einops>=0.8"'),
    ],
)
def test_the_command_is_quoted_for_its_shell(python: str, windows: bool, command: str) -> None:
    assert packages.install_command(["einops"], python=python, windows=windows) == command
    if not windows:
        assert shlex.split(command) == [python, "-m", "pip", "install", "einops>=0.8"]


def test_every_requirement_has_a_command_for_this_python() -> None:
    assert len(packages.requirements()) >= 10
    for name, line in packages.requirements().items():
        asked = shlex.split(packages.install_command([name], windows=False))
        assert asked[:4] == [sys.executable, "-m", "pip", "install"] and asked[-1] == line
    asked = shlex.split(packages.install_command(["diffusers"], windows=False))
    assert asked[4:] == ["transformers>=4.50.3", "diffusers>=0.36"]  # or pip breaks an older transformers
    assert list(packages.requirements()).index("transformers") < list(packages.requirements()).index("diffusers")


def nested(*errors: BaseException) -> BaseException:
    """The errors, each the cause of the one before."""
    for outer, inner in zip(errors, errors[1:], strict=False):
        outer.__cause__ = inner
    return errors[0]


def test_missing_packages_are_told_by_the_name_they_are_installed_by() -> None:
    lost = {"PIL.Image": "pillow", "segment_anything": "segment-anything", "diffusers.schedulers": "diffusers", "av": "av"}
    for module, package in lost.items():
        error = nested(RuntimeError("Failed to import x"), ImportError("y"), ModuleNotFoundError("no", name=module))
        with pytest.raises(InputError, match=f"the package {package} is missing in this Python; run  .* -m pip install "):
            raise_inside(error)
    for other in (RuntimeError("out of memory"), ImportError("a DLL"), ModuleNotFoundError("no", name="somebody_elses")):
        with pytest.raises(type(other)) as caught:
            raise_inside(other)
        assert caught.value is other


def raise_inside(error: BaseException) -> None:
    with packages.tell_missing_packages():
        raise error
