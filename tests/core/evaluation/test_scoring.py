"""Models are loaded where they are used: once in a process, and not to learn the version of a metric."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumosx_core.detection.known_models import MODELS
from lumosx_core.evaluation import scoring
from lumosx_core.evaluation.generate_run import take_videos
from lumosx_core.evaluation.metrics.binding import Binding
from lumosx_core.evaluation.metrics.clip import Clip
from lumosx_core.evaluation.metrics.faces import Faces
from lumosx_core.evaluation.runs import Run
from lumosx_core.evaluation.suites import write_sample_suite
from lumosx_core.files.atomic import write_bytes
from lumosx_core.files.videos import write_video
from lumosx_core.references import ReferenceSet, Sample, Subject
from lumosx_core.sample_folder import write_sample


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """One case with a video, and beside it models/ with a file for each model, none of which can be loaded."""
    subject = Subject(name="man", face=Image.new("RGB", (8, 8), "red"))
    write_sample(tmp_path / "samples" / "one", Sample(prompt="a man", references=ReferenceSet(subjects=(subject,))))
    write_sample_suite(tmp_path / "suite", tmp_path / "samples", seed=0)
    write_video(tmp_path / "videos" / "one.mp4", np.zeros((3, 16, 16, 3), np.uint8), 8)
    for name, known in MODELS.items():
        for file in known.needed:
            write_bytes(tmp_path / "models" / name / file, b"nothing")
    return take_videos(tmp_path / "suite", tmp_path / "videos", tmp_path / "run")


def test_the_models_of_a_metric_are_loaded_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    still = np.zeros((16, 16, 2), np.float32)
    monkeypatch.setattr(scoring, "raft_flow", lambda path, device: loaded.append((path.name, device)) or (lambda *_: still))
    for _ in range(2):
        scores = scoring.score_run(run, ["motion"], models=run.folder.parent / "models")
    assert scores["motion"]["one"].values == {"pairs": [0], "speed": [0.0]}
    assert loaded == [(MODELS["raft"].needed[0], "cpu")]


def test_metrics_that_look_with_one_model_share_it(run: Run) -> None:
    looking = scoring.Looking(run=run.folder, models=run.folder.parent / "models")
    binding, clip, faces = (scoring.metric_named(name, looking) for name in ("binding", "clip", "faces"))
    assert isinstance(binding, Binding) and isinstance(clip, Clip) and isinstance(faces, Faces)
    assert binding.sight is not None and clip.sight is not None
    assert binding.sight.embedder is clip.sight.dino and binding.sight.embedder is not clip.sight.clip
    assert (binding.sight.eyes.phrases, binding.sight.eyes.masks) == (clip.sight.eyes.phrases, clip.sight.eyes.masks)
    assert binding.sight.eyes.faces is faces.finder
