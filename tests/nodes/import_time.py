"""How long ComfyUI waits for this pack when it starts: python -m tests.nodes.import_time [--runs 9] [--table] [--most 0.3]

Every run is a fresh process: a real ComfyUI (COMFYUI_ROOT, else where the tests find one) imports what its `main.py` does, and
its own nodes; then its own `load_custom_node` is timed with a copy of this pack, from the first line of `__init__.py` to the
schema of the last node. Two states in turns: *again*, with Python's compiled files beside the pack, as at every start but the
first, and *new*, without them. Printed are medians by the wall clock and of the processor's time, which other work
on the machine disturbs less, and the wall clock as a part of what the host's own nodes took in the same processes.

--table: what each module adds, as `-X importtime` tells it. --most: status 1 if *again* takes longer by the wall clock.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BEGIN, END = "import time: the pack begins", "import time: the pack ends"
HOST = f"""
import asyncio, json, os, sys, time
root, pack = sys.argv[1:]
sys.argv = sys.argv[:1]
sys.path.insert(0, root)
os.chdir(root)
from comfy.cli_args import args
args.cpu = True
import execution, nodes, server

async def timed(work):
    wall, processor = time.perf_counter(), time.process_time()
    result = await work
    return {{"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}}, result

async def start():
    server.PromptServer(asyncio.get_running_loop())
    host, _ = await timed(nodes.init_builtin_extra_nodes())
    before = set(sys.modules)
    print({BEGIN!r}, file=sys.stderr, flush=True)
    ours, loaded = await timed(nodes.load_custom_node(pack))
    print({END!r}, file=sys.stderr, flush=True)
    assert loaded, "ComfyUI did not load the pack"
    return {{"host": host, "pack": ours, "modules": sorted(set(sys.modules) - before)}}

print(json.dumps(asyncio.run(start())))
"""


def copy_pack(folder: Path) -> Path:
    """A copy of what the host loads, without Python's compiled files; the embedded models are linked. Returns its folder."""
    pack = folder / "lumosx"
    left_out = shutil.ignore_patterns("__pycache__", "assets")
    for name in ("nodes", "lumosx_core", "web", "locales"):
        shutil.copytree(ROOT / name, pack / name, ignore=left_out)
    for name in ("__init__.py", "pyproject.toml", "requirements.txt"):
        shutil.copyfile(ROOT / name, pack / name)
    (pack / "lumosx_core" / "assets").symlink_to(ROOT / "lumosx_core" / "assets", target_is_directory=True)
    return pack


def one_start(comfyui: Path, pack: Path, *, compile_files: bool, table: bool = False) -> tuple[dict[str, Any], str]:
    """What one fresh process of the host measured with the pack, and the table of its imports.

    compile_files: whether Python may leave compiled files beside the pack. Raises RuntimeError where the host does not start.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    if not compile_files:
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    options = ["-X", "importtime"] if table else []
    command = [sys.executable, *options, "-c", HOST, str(comfyui), str(pack)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the host did not start:\n{(done.stdout + done.stderr)[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1]), done.stderr.partition(BEGIN)[2].partition(END)[0].strip()


def main() -> int:
    """The command of the module's docstring."""
    from tests.nodes.comfyui_folder import comfyui_root

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--most", type=float)
    options = parser.parse_args()
    comfyui = comfyui_root()
    if comfyui is None:
        print("no ComfyUI found; set COMFYUI_ROOT to its folder")
        return 2
    with tempfile.TemporaryDirectory() as again, tempfile.TemporaryDirectory() as new:
        packs = {"again": copy_pack(Path(again)), "new": copy_pack(Path(new))}
        one_start(comfyui, packs["again"], compile_files=True)
        runs: dict[str, list[dict]] = {state: [] for state in packs}
        for _ in range(options.runs):
            for state, pack in packs.items():
                runs[state].append(one_start(comfyui, pack, compile_files=state == "again")[0])
        if options.table:
            print(one_start(comfyui, packs["again"], compile_files=True, table=True)[1])
    median = {}
    for state, found in runs.items():
        wall = [run["pack"]["wall"] for run in found]
        median[state] = statistics.median(wall)
        processor = statistics.median(run["pack"]["processor"] for run in found)
        part = statistics.median(run["pack"]["wall"] / run["host"]["wall"] for run in found)
        print(
            f"{state:6} {median[state]:.3f} s ({min(wall):.3f} to {max(wall):.3f}), processor {processor:.3f} s, "
            f"{part:.2f} of the host's own nodes, {len(found[0]['modules'])} modules, {len(found)} starts"
        )
    return int(options.most is not None and median["again"] > options.most)


if __name__ == "__main__":
    sys.exit(main())
