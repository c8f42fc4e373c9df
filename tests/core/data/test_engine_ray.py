"""What can be said of the Ray engine without a cluster, and, where Ray is installed, the short form of `engines.py`: two
videos, one of which ends its worker."""

import argparse
import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from engines import FATAL, run_fatal

from lumosx_core.cli.collect import chosen_engine
from lumosx_core.data.collect_config import PUPPETS, ModelSettings
from lumosx_core.data.components import absolute_models
from lumosx_core.data.demo_clips import write_demo_clips
from lumosx_core.data.engine import ProcessEngine
from lumosx_core.data.engine_ray import ANY, RayEngine, _must_answer
from lumosx_core.errors import InputError


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="NO /proc: workers of Ray are found on Linux only")
def test_a_job_that_ends_its_worker_costs_itself_alone(tmp_path: Path) -> None:
    pytest.importorskip("ray.data", reason="NO RAY: pip install 'lumosx[cluster]' to run collections on it")
    write_demo_clips(tmp_path / "videos", 2, seed=5, frames=9)
    (tmp_path / "videos" / "0000.mp4").rename(tmp_path / "videos" / FATAL)
    assert run_fatal(tmp_path / "videos", tmp_path / "out") == []


def options(**given: object) -> argparse.Namespace:
    return argparse.Namespace(**{"engine": "process", "workers": None, "worker_gpus": None, **given})


def test_without_ray_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(InputError, match=r"--engine ray needs Ray .*install \"ray\[data\]>=2.60,<2.64\""),
        chosen_engine(options(engine="ray"), PUPPETS),
    ):
        pass


def test_options_become_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lumosx_core.data.engine_ray._import_ray", lambda: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with chosen_engine(options(workers=3), PUPPETS) as engine:
        assert engine == ProcessEngine(workers=3)
    with pytest.raises(InputError, match="--worker-gpus is for --engine ray"), chosen_engine(options(worker_gpus=0.5), PUPPETS):
        pass
    with chosen_engine(options(engine="ray"), PUPPETS) as engine:
        assert isinstance(engine, RayEngine) and (engine.workers, engine.gpus, engine.address) == (None, 0.0, ANY)
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    config = replace(PUPPETS, models=replace(PUPPETS.models, device="cuda:0"))
    with chosen_engine(options(engine="ray"), config) as engine:
        assert isinstance(engine, RayEngine) and (engine.gpus, engine.address) == (1.0, "head:6379")
    with chosen_engine(options(engine="ray", worker_gpus=0.25), config) as engine:
        assert isinstance(engine, RayEngine) and engine.gpus == 0.25
    for wrong in ({"workers": 0}, {"worker_gpus": -1.0}, {"worker_gpus": float("nan")}):
        with pytest.raises(InputError, match="expected a"), chosen_engine(options(engine="ray", **wrong), config):
            pass


def test_an_address_is_host_and_port_of_somebody_who_answers() -> None:
    for wrong in ("nonsense", "ray://head:10001", "head:", ":6379", "head:0", "head:99999", "head:x"):
        with pytest.raises(InputError, match="expected host:port"):
            _must_answer(wrong)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        _must_answer(f"127.0.0.1:{port}")
    with pytest.raises(InputError, match=f"nobody answers at 127.0.0.1:{port}"):
        _must_answer(f"127.0.0.1:{port}")


def test_models_are_found_from_other_working_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = absolute_models(ModelSettings(eyes="models/eyes", filler="lama.onnx", device="cuda"))
    assert settings == ModelSettings(eyes=str(tmp_path / "models/eyes"), filler=str(tmp_path / "lama.onnx"), device="cuda")
    for eyes in ("puppets", "package.module:function"):
        assert absolute_models(ModelSettings(eyes=eyes)) == ModelSettings(eyes=eyes)
