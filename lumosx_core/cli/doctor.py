"""Say what this machine has: versions, devices, attention backends, embedded files, and how to get what is missing.

With MODEL also what that model folder holds, whether it would load, and what it needs: only headers are read.
"""

import argparse
from pathlib import Path

USUAL_CARDS = (6.0, 8.0, 12.0, 16.0, 24.0)  # GiB, of which the plans are told where no card is there


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("model", nargs="?", type=Path, metavar="MODEL", help="a model folder to look at")


def run(options: argparse.Namespace) -> int:
    """Print the report; status 1 if something that is needed is missing."""
    import platform

    from lumosx_core import __version__

    print(f"lumosx         {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    wrong = _report_requirements()
    if "torch" in wrong:
        return 1
    _report_devices()
    _report_letters()
    whole = _report_assets()
    _report_eyes()
    _report_metrics()
    _report_collection()
    if options.model is not None:
        whole = _report_model(options.model) and whole
    return 1 if wrong or not whole else 0


def _report_requirements() -> list[str]:
    """Print every requirement of the package with the version that is here; the names of those that are missing or too old."""
    import importlib.metadata

    from lumosx_core.packages import install_command

    wrong = []
    for name, bound, extra in requirements():
        try:
            version: str | None = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            version = None
        if version is not None and not is_older(version, bound):
            print(f"{name:14} {version}")
            continue
        state = "not installed" if version is None else f"{version} is older than {bound}"
        command = install_command([f"{name}>={bound}"])
        if extra:
            print(f"{name:14} {state} (optional, of lumosx[{extra}]: {command})")
        else:
            wrong.append(name)
            print(f"{name:14} {'MISSING' if version is None else f'TOO OLD: {state}'}: {command}")
    for name, purpose in (
        ("sageattention", "faster attention on CUDA: pip install sageattention"),
        ("flash-attn", "another attention backend on CUDA: pip install flash-attn"),
    ):
        try:
            print(f"{name:14} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{name:14} not installed (optional; {purpose})")
    return wrong


def requirements() -> list[tuple[str, str, str]]:
    """(name, lowest version, extra or "") of everything that the package's metadata asks for, but tools of its development.

    A ComfyUI custom node is not installed as a package: its pyproject.toml, beside the package, says the same.
    """
    import importlib.metadata
    import re

    try:
        lines = importlib.metadata.requires("lumosx") or []
    except importlib.metadata.PackageNotFoundError:
        lines = []
        project = Path(__file__).parents[2] / "pyproject.toml"
        if project.is_file():
            table = re.search(r"^dependencies = \[(.*?)\]", project.read_text("utf-8"), re.M | re.S)
            lines = re.findall(r'"([^"]+)"', table[1] if table else "")
    found = []
    for line in lines:
        match = re.match(r"([A-Za-z0-9._-]+)\s*>=\s*([0-9.]+)", line)
        extra = re.search(r"extra\s*==\s*[\"'](\w+)[\"']", line)
        if match and (extra is None or extra[1] != "dev"):
            found.append((match[1].lower(), match[2], extra[1] if extra else ""))
    return found


def is_older(version: str, bound: str) -> bool:
    """True if a version such as "2.6.0+cu124" lies below the bound "2.6"."""
    import re

    def parts(text: str) -> list[int]:
        release = re.match(r"[0-9]+(\.[0-9]+)*", text)
        return [int(part) for part in release[0].split(".")] if release else []

    have, want = parts(version), parts(bound)
    length = max(len(have), len(want))
    return have + [0] * (length - len(have)) < want + [0] * (length - len(want))


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
    from lumosx_core.drawing.fonts import SCRIPTS, missing_scripts

    missing = missing_scripts()
    print(f"letters        drawn in pictures: Latin, {', '.join(name for name in SCRIPTS if name not in missing)}")
    if missing:
        packages = " ".join(sorted(set(missing.values())))
        print(f"               boxes instead of: {', '.join(missing)}; Debian, Ubuntu: apt install {packages}; elsewhere put")
        print("               any fonts of these scripts (Noto: https://fonts.google.com/noto) among the system's fonts")


def _report_assets() -> bool:
    from lumosx_core.checks.golden import GOLDEN_FOLDER
    from lumosx_core.errors import InputError
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


def _report_eyes() -> None:
    """Print which models of `lumosx people` are there, and of those that are not what to get."""
    from lumosx_core.detection.known_models import MODELS, PURPOSES, ROOT
    from lumosx_core.detection.real_eyes import fault_of
    from lumosx_core.puppets.analyser_network import WEIGHTS

    print(f"eyes           of the puppet world: {WEIGHTS if WEIGHTS.is_file() else 'MISSING'}; of photographs, in {ROOT}:")
    for name, known in MODELS.items():
        fault = fault_of(ROOT, name)
        if (ROOT / name).exists() and fault is not None:
            state = f"FAULT: {fault}; get {known.source}"
        else:
            state = "there" if fault is None else f"not there (optional; get {known.source})"
        print(f"  {name:14} {PURPOSES[known.role]}: {state}; licence: {known.terms}")


def _report_metrics() -> None:
    """Print what each metric of `lumosx evaluate score` needs and lacks."""
    from lumosx_core.detection.known_models import ROOT
    from lumosx_core.evaluation.scoring import METRICS, lacking_of

    print(f"metrics        what videos can be judged by, with the models in {ROOT}:")
    for name in METRICS:
        lacking = lacking_of(name, ROOT)
        print(f"  {name:14} {f'lacks {lacking}' if lacking else 'there'}")


def _report_collection() -> None:
    """Print what each part of `lumosx collect` could run with here, and what it lacks."""
    from lumosx_core.data.plan import collection_parts
    from lumosx_core.detection.known_models import ROOT

    print(f"collection     what its parts can run with, of the models in {ROOT}:")
    for part in collection_parts(ROOT):
        state = "there" if not part.lacking else f"lacks {part.lacking}"
        print(f"  {part.stage:14} {part.name}: {state}{f'; licence: {part.terms}' if part.terms else ''}")


def _report_model(folder: Path) -> bool:
    """What a model folder holds, what it needs, and what this machine has of that; True if it would load."""
    import torch

    from lumosx_core.model.devices import GIB
    from lumosx_core.sampling.model_report import memory_while_loading, report_model, resident_plan

    print(f"model          {folder}")
    parts = report_model(folder)
    for part in parts:
        print(f"  {part.name:26} {f'FAULT: {part.fault}' if part.fault else part.what}")
    if any(part.fault for part in parts):
        print("  would not load")
        return False
    print("  would load; only headers were read, not the weights")
    memory = machine_memory()
    cards = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        plan = resident_plan(folder, dtype)
        stages = ", ".join(f"{stage} {count / GIB:.2f}" for stage, count in plan.items())
        print(f"  --dtype {name}: GiB of weights on the device, one model at a time: {stages}")
        need = memory_while_loading(folder, dtype)
        has = "its size is not known" if memory is None else f"this machine has {memory / GIB:.1f}, {enough(need, memory)}"
        print(f"    main memory while loading about {need / GIB:.2f} GiB: {has}")
        later = max(count for stage, count in plan.items() if stage != "text encoding")
        for index in cards:
            total = torch.cuda.get_device_properties(index).total_memory
            where = "" if plan["text encoding"] <= total else "; the text encoder works on the CPU"
            print(f"    cuda:{index}: {later / GIB:.2f} of {total / GIB:.1f} GiB, {enough(later, total)}{where}")
    print("    tokens and pictures need memory besides:")
    _report_plans(folder, [torch.cuda.get_device_properties(index).total_memory / GIB for index in cards])
    return True


def _report_plans(folder: Path, cards: list[float]) -> None:
    """What `lumosx generate --memory` would do on cards of so many GiB, on USUAL_CARDS where there are none, for a video of the
    model's own size."""
    import torch

    from lumosx_core.checks.speed_case import GROUP, SINGLE, layout_with
    from lumosx_core.errors import InputError
    from lumosx_core.model.devices import GIB
    from lumosx_core.model.memory import stored_sizes
    from lumosx_core.sampling.config import read_defaults
    from lumosx_core.sampling.memory_plan import planned
    from lumosx_core.sampling.pipeline import FILES

    config = read_defaults(folder).config
    layout = layout_with(*config.size.grid, single=SINGLE, groups=[GROUP, GROUP])
    sizes = stored_sizes(folder / FILES["transformer"])
    print(
        f"  --memory GiB --device cuda --dtype bf16, {config.frames} frames of {config.width} x {config.height} with "
        f"{len(layout.kinds)} pictures{'' if cards else ' (there is no card here)'}:"
    )
    before = None
    for gib in cards or USUAL_CARDS:
        try:
            plan = planned(folder, sizes, config, layout, dtype=torch.bfloat16, device="cuda", gib=gib)
        except InputError as error:
            print(f"    {gib:5.1f}  {str(error).partition(': ')[2]}")
            continue
        if plan == before:
            continue  # a larger card changes nothing more
        before = plan
        where = ", ".join(f"{stage} {how}" for stage, how in plan.told.items() if stage != "references")
        print(f"    {gib:5.1f}  {plan.peak / GIB:.2f} at its peak: {where}")


def enough(need: int, there: int) -> str:
    """The verdict on so many bytes where so many are, some of which the system and others use."""
    if need > there:
        return "NOT enough"
    return "enough" if need <= 0.8 * there else "scarcely enough"


def machine_memory() -> int | None:
    """Bytes of this machine's main memory; None where the system does not tell it this way (Windows)."""
    import os

    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
