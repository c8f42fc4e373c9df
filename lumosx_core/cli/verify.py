"""Check this machine against golden numbers of the published system: every device and attention backend that is here.

Exit status 1 if a deviation is above its bar.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("folder", type=Path, nargs="?", metavar="FOLDER", help="golden data (default: embedded)")
    parser.add_argument("--json", action="store_true", help="print a JSON report instead of a table")


def run(options: argparse.Namespace) -> int:
    """Run all checks and report the worst deviation of each against its bar."""
    import json

    import torch

    from lumosx_core.checks.golden import GOLDEN_FOLDER, Check, backend_check, run_checks
    from lumosx_core.errors import InputError
    from lumosx_core.model.attention_backends import select_attention, why_unavailable

    folder = options.folder or GOLDEN_FOLDER
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    # Golden data is float32, which torch's attention alone computes. SageAttention and FlashAttention are half precision:
    # they are compared with torch on random tokens.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    records, failed = [], 0

    def report(device: str, backend: str, check: Check) -> None:
        nonlocal failed
        failed += not check.passed
        records.append(
            {
                "device": device,
                "backend": backend,
                "check": check.name,
                "deviation": check.deviation,
                "bar": check.bar,
                "passed": check.passed,
            }
        )
        if not options.json:
            mark = "ok  " if check.passed else "FAIL"
            print(f"{mark} {device:5} {check.deviation:9.1e} of {check.bar:7.0e}  {check.name}")

    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        for check in run_checks(folder, device=device):
            report(device, "sdpa", check)
        for name in ("sage", "flash"):
            if why_unavailable(name, device, torch.bfloat16, 128) is None:
                backend = select_attention(name, device, torch.bfloat16)
                report(device, name, backend_check(backend, device, torch.bfloat16))
    if options.json:
        print(
            json.dumps(
                {"folder": folder.resolve().name, "torch": torch.__version__, "failed": failed, "checks": records}, indent=2
            )
        )
    else:
        print(f"{len(records) - failed} of {len(records)} checks within their bars")
    return 1 if failed else 0
