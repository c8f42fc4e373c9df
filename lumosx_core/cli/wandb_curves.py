"""The figures of a run for Weights & Biases, for those who ask for it."""

import os
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lumosx_core.errors import InputError
from lumosx_core.files.json import read_json, write_json
from lumosx_core.packages import install_command

WANDB_RECORD = "wandb.json"  # in the folder of a run: under which id it is known there
WANDB_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")


class WandbCurves:
    """A function on_step(step, figures) for `train` that logs to Weights & Biases, steps counted from 1 as in `log.jsonl`.

    Without `online` nothing is sent: the run lies in `folder`/wandb, until `wandb sync` sends it. A resumed run goes on under
    the id that `folder`/wandb.json keeps; the figure "step" is the axis of all others, so that steps which are done again are
    drawn at their place. config: of the run, as it is shown there. Neither code nor what is printed is taken.

    Raises InputError if wandb is not installed, for a project that is no name, a damaged wandb.json, and where wandb refuses to
    begin (nobody is logged in, its server is not reached).
    """

    def __init__(self, folder: Path, project: str, config: Mapping[str, Any], *, online: bool = False) -> None:
        if not WANDB_NAME.fullmatch(project):
            raise InputError(f"--wandb {project!r}: expected the name of a project, of letters, digits, '-', '_' and '.'")
        if not online:
            os.environ["WANDB_ERROR_REPORTING"] = "false"  # read when it is imported; else its own faults are sent
        try:
            import wandb
        except ImportError as error:
            raise InputError(
                f"--wandb needs the package wandb; run  {install_command(['wandb'])}  or leave --wandb out"
            ) from error
        try:
            self._run = wandb.init(
                project=project,
                id=_run_id(folder),
                dir=str(folder),
                config=dict(config),
                mode="online" if online else "offline",
                resume="allow" if online else None,  # offline every start is a part, put together when it is sent
                settings=wandb.Settings(console="off", silent=True, save_code=False, disable_git=True, disable_code=True),
            )
            self._run.define_metric("*", step_metric="step")
        except (wandb.Error, OSError) as error:
            raise InputError(
                f"Weights & Biases cannot begin ({str(error).strip()[:300]}); run  wandb login  first, or leave "
                "--wandb-online out, and send the run afterwards"
            ) from error
        self.place = str(self._run.url if online else Path(self._run.dir).parent)  # to look at; to send

    def __call__(self, step: int, figures: dict[str, float]) -> None:
        """Log a step, counted from 0 as `train` does."""
        self._run.log(figures | {"step": step + 1})

    def close(self, *, failed: bool = False) -> None:
        """Write, or send, what is left. failed: mark the run so."""
        self._run.finish(exit_code=int(failed))


def _run_id(folder: Path) -> str:
    """Of the run in a folder: the one that it has, or a new one."""
    path = folder / WANDB_RECORD
    if path.is_file():
        content = read_json(path, "the record of the run at Weights & Biases")
        kept = content.get("id") if isinstance(content, dict) else None
        if not isinstance(kept, str) or not WANDB_NAME.fullmatch(kept):
            raise InputError(f"{path} names no run; delete it to begin a new one there")
        return kept
    made = uuid.uuid4().hex[:12]
    write_json(path, {"id": made}, "the record of the run at Weights & Biases")
    return made
