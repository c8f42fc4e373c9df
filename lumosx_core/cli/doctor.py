"""Say what this machine has: versions, devices, attention backends, embedded files, and how to get what is missing."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command has no options."""


def run(options: argparse.Namespace) -> int:  # noqa: ARG001 - the commands' signature
    """Print the report; status 1 if something that is needed is missing."""
    import importlib.metadata
    import platform
    import sys

    from lumosx_core import __version__

    print(f"lumosx         {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    missing = []
    for package in ("torch", "diffusers", "transformers", "safetensors", "einops", "av", "pillow", "sentencepiece"):
        try:
            print(f"{package:14} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
            print(f"{package:14} MISSING: {sys.executable} -m pip install {package}")
    for package, purpose in (
        ("sageattention", "faster attention on CUDA: pip install sageattention"),
        ("flash-attn", "another attention backend on CUDA: pip install flash-attn"),
        ("tensorboard", "curves of a training run: pip install lumosx[train]"),
    ):
        try:
            print(f"{package:14} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{package:14} not installed (optional; {purpose})")
    if "torch" in missing:
        return 1
    _report_devices()
    _report_letters()
    return 1 if missing or not _report_assets() else 0


def _report_devices() -> None:
    import os

    import torch

    from lumosx_core.model.attention_backends import why_unavailable

    print(f"device cpu     {os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads")
    devices = [("cpu", torch.float32)]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            print(f"device cuda:{index}  {properties.name}, {properties.total_memory / 2**30:.0f} GiB")
            devices.append((f"cuda:{index}", torch.bfloat16))
    else:
        print("device cuda    none: the nano model runs on the CPU; the 1.3B model wants a GPU of 12 GiB or more")
    for device, dtype in devices:
        for backend in ("sdpa", "sage", "flash"):
            reason = why_unavailable(backend, device, dtype, 128)
            print(f"attention      {backend:5} on {device}: {reason or 'yes'}")


def _report_letters() -> None:
    """Which scripts can be drawn in pictures, and what to install for the others."""
    from lumosx_core.fonts import SCRIPTS, missing_scripts

    missing = missing_scripts()
    print(f"letters        drawn in pictures: Latin, {', '.join(name for name in SCRIPTS if name not in missing)}")
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        print(f"               boxes instead of: {', '.join(missing)}; Debian, Ubuntu: apt install {packages}; elsewhere put")
        print("               any fonts of these scripts (Noto: https://fonts.google.com/noto) among the system's fonts")


def _report_assets() -> bool:
    from lumosx_core.errors import InputError
    from lumosx_core.evaluation.golden import GOLDEN_FOLDER
    from lumosx_core.puppets.samples import SAMPLES_FOLDER
    from lumosx_core.sampling.pipeline import NANO_FOLDER, load_pipeline

    try:
        load_pipeline(NANO_FOLDER)
        print(f"nano model     {NANO_FOLDER}")
    except InputError as error:
        print(f"nano model     {error}")
        return False
    samples = sorted(path.name for path in SAMPLES_FOLDER.glob("*") if path.is_dir())
    print(f"samples        {', '.join(samples)}")
    print(f"golden data    {GOLDEN_FOLDER if GOLDEN_FOLDER.is_dir() else 'MISSING'}")
    return bool(samples) and GOLDEN_FOLDER.is_dir()
