"""A real ComfyUI server in a process of its own, with this pack in a folder of its own, and prompts sent to it.

The server's Python is told to note every connection that leaves the machine and every file that is written into the pack.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

PACK = Path(__file__).parents[2]
# Runs inside the server before anything else: Python calls these hooks for whatever opens a file or a connection.
WATCHER = """
import os
import sys
PACK, LOG = {pack!r}, {log!r}

def note(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        path = os.path.realpath(arguments[0])
        if not path.startswith(PACK + os.sep) or path[len(PACK) + 1] == ".":  # the environment may lie in the pack's .venv
            return
        line = f"write {{arguments[0]}}"
    elif event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in ("127.0.0.1", "::1"):
        line = f"connect {{arguments[1]}}"
    elif event == "socket.getaddrinfo" and arguments[0] not in (None, "127.0.0.1", "::1", "localhost", "0.0.0.0"):
        line = f"look up {{arguments[0]}}"
    else:
        return
    with open(LOG, "a") as log:
        log.write(line + "\\n")

with open(LOG, "a") as log:
    log.write("watching\\n")
sys.addaudithook(note)
"""


def pack_files() -> dict[str, tuple[int, int]]:
    """Path -> size and time of everything in the folders that a host loads."""
    tops = [PACK / name for name in ("__init__.py", "nodes", "lumosx_core", "web", "locales", "workflows", "subgraphs")]
    files = [
        path
        for top in tops
        for path in (top.rglob("*") if top.is_dir() else [top])
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


@dataclass
class Run:
    """What one prompt did. end: the host's last message of it, such as execution_success; cached: ids of nodes that were not
    run again; steps: every progress value of the sampling; last_before_interrupt: the one at which it was cancelled."""

    end: str = ""
    cached: set[str] = field(default_factory=set)
    executed: set[str] = field(default_factory=set)
    steps: list[int] = field(default_factory=list)
    last_before_interrupt: int | None = None
    error: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)


class HostServer:
    """The server of the ComfyUI in `root`, from start to `stop`; its files are under `folder`. pack_before: the pack's files
    when it started."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder, self.watched = folder, folder / "watched.txt"
        self.pack_before = pack_files()
        (folder / "custom_nodes").mkdir(parents=True)
        (folder / "custom_nodes" / "lumosx").symlink_to(PACK)
        (folder / "input").mkdir()
        Image.new("RGB", (64, 48)).save(folder / "input" / "example.png")  # every ComfyUI has one
        (folder / "watcher").mkdir()
        (folder / "watcher" / "sitecustomize.py").write_text(WATCHER.format(pack=str(PACK), log=str(self.watched)))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.log = (folder / "host.log").open("w+")
        port = self.address.split(":")[1]
        self.process = subprocess.Popen(
            [
                sys.executable,
                "main.py",
                "--cpu",
                "--listen",
                "127.0.0.1",
                "--port",
                port,
                "--disable-api-nodes",
                "--base-directory",
                str(folder),
                "--database-url",
                f"sqlite:///{folder / 'host.sqlite'}",
                *(["--front-end-root", frontend] if (frontend := os.environ.get("COMFYUI_FRONTEND")) else []),
            ],
            cwd=root,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "PYTHONPATH": str(folder / "watcher"),
                "PYTHONDONTWRITEBYTECODE": "1",
                "MALLOC_ARENA_MAX": "1",
            },  # else memory that glibc keeps per thread looks like growth
        )
        self._wait()

    def _wait(self, seconds: float = 180) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                self.get("/system_stats")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.3)
        printed = self.output()[-4000:]
        self.stop()
        raise RuntimeError(f"the host did not start:\n{printed}")

    def output(self) -> str:
        """Everything that the server printed so far."""
        self.log.flush()
        return (self.folder / "host.log").read_text()

    def get(self, path: str) -> Any:
        """The JSON at that path of the server."""
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=30) as answer:
            return json.load(answer)

    def post(self, path: str, body: Any) -> None:
        """Send JSON to that path of the server."""
        data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"http://{self.address}{path}", data, headers), timeout=30):
            pass

    def run(self, prompt: dict[str, Any], interrupt_at: int | None = None) -> Run:
        """Send a prompt in API format and wait for its end; cancel it at that step of the sampling."""
        return asyncio.run(asyncio.wait_for(self._run(prompt, interrupt_at), timeout=300))

    async def _run(self, prompt: dict[str, Any], interrupt_at: int | None) -> Run:
        import aiohttp

        result, base = Run(), f"http://{self.address}"
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{base}/ws?clientId=test", max_msg_size=0) as ws:
            async with session.post(f"{base}/prompt", json={"prompt": prompt, "client_id": "test"}) as answer:
                body = await answer.json()
                if answer.status != 200:
                    return Run(end="refused", error=json.dumps(body))
            async for message in ws:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                kind, data = (record := json.loads(message.data))["type"], record["data"]
                if kind == "progress" and data.get("max", 0) > 1:
                    result.steps.append(data["value"])
                    if interrupt_at is not None and data["value"] >= interrupt_at and result.last_before_interrupt is None:
                        result.last_before_interrupt = data["value"]
                        await session.post(f"{base}/interrupt")
                elif kind == "execution_cached":
                    result.cached = set(data["nodes"])
                elif kind == "executing" and data.get("node"):
                    result.executed.add(data["node"])
                elif kind == "executed" and data.get("output"):
                    result.outputs[data["node"]] = data["output"]
                elif kind in ("execution_success", "execution_error", "execution_interrupted"):
                    result.end, result.error = kind, data.get("exception_message", "")
                    return result
        raise RuntimeError(f"the host closed the connection:\n{self.output()[-4000:]}")

    def memory(self) -> int:
        """Resident memory of the server in bytes."""
        import psutil

        return psutil.Process(self.process.pid).memory_info().rss

    def stop(self) -> None:
        """End the server."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()
