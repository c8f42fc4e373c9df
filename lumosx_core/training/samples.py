"""Videos that are generated while a model is trained: of the same samples, from the same noise, with the averaged weights.

What judges them is handed in, as (hits, judged) by name; the loop knows no scorer.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from lumosx_core.drawing.contact_sheet import contact_sheet
from lumosx_core.errors import InputError
from lumosx_core.files.images import save_image
from lumosx_core.files.videos import write_video
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.devices import arithmetic
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.numbers import seed_number, whole_number
from lumosx_core.references import Sample
from lumosx_core.sampling.config import GenerationConfig
from lumosx_core.sampling.generate import Prepared, bind, decode, denoise, layout_of, prepare
from lumosx_core.sampling.pipeline import LumosXPipeline
from lumosx_core.training.ema import with_weights
from lumosx_core.training.parallelize import ALONE, Processes

FOLDER = "samples"
VIDEO_BYTES, SHEET_BYTES = 0.1, 2**20  # per pixel of a video, and a sheet, on the disk: about, and rather more

Score = Callable[[str, np.ndarray], Mapping[str, tuple[float, float]]]


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What is generated, and how often.

    pipeline: a model folder, of which everything but the transformer is used. samples: by name. config: of the generation.
    every: steps between generations, and at the end. seed: of the noise of every sample. score(name, frames [F, H, W, 3]):
    hits and judged things by name, the same names for all samples. Raises InputError for numbers out of range, names that are
    no names of files, and without samples.
    """

    pipeline: LumosXPipeline
    samples: Mapping[str, Sample]
    config: GenerationConfig
    every: int = 500
    seed: int = 0
    score: Score | None = None
    prepared: dict[str, Prepared] = field(default_factory=dict)  # texts and references, encoded when they are first needed

    def __post_init__(self) -> None:
        whole_number(self.every, "samples: every", least=1, most=10**9)
        seed_number(self.seed)
        if not self.samples:
            raise InputError("samples: there is none; name sample folders, or leave them out")
        strange = [name for name in self.samples if Path(name).name != name]
        if strange:
            raise InputError(f"samples: {strange[0]!r} cannot be the name of a file")

    def check_model(self, config: TransformerConfig) -> None:
        """Raises InputError unless the model folder's text encoder and VAE fit a transformer of these sizes, and every sample
        can be laid out."""
        theirs = self.pipeline.sizes
        for name in ("text_dim", "text_len", "in_dim", "out_dim"):
            if getattr(theirs, name) != getattr(config, name):
                raise InputError(
                    f"samples: {self.pipeline.folder} has {name} {getattr(theirs, name)}, the model that is trained "
                    f"{getattr(config, name)}; name the model folder that the clips were prepared with (--model)"
                )

        for sample in self.samples.values():
            layout_of(bind(self.pipeline, sample, self.config), self.config)

    def is_due(self, step: int, steps: int) -> bool:
        """Whether they are generated after this step of `steps`."""
        return (step + 1) % self.every == 0 or step + 1 == steps

    def disk_bytes(self) -> int:
        """About how many bytes one step's videos and sheets take on the disk."""
        enlarge = self.pipeline.defaults.enlarge
        pixels = self.config.frames * self.config.height * self.config.width * enlarge**2
        return len(self.samples) * int(VIDEO_BYTES * pixels + SHEET_BYTES)

    def figures(
        self,
        model: LumosXTransformer,
        weights: Mapping[str, torch.Tensor],
        run: Path,
        step: int,
        *,
        precision: str = "fp32",
        processes: Processes = ALONE,
    ) -> dict[str, float]:
        """Write `samples/step-<step>/<name>.mp4` and `.png` (references and frames) into the folder of a run, step counted
        from 1; "sampled/<what the score names>", the share of hits over all samples.

        The processes share the samples out; those that share tokens generate one together. The model is left as it was; no
        random number of the run is used up.
        """
        names = list(self.samples)
        teams, own = processes.count // processes.sequence, processes.rank // processes.sequence
        hits: dict[str, float] = {}
        self.pipeline.use_transformer(model)
        with with_weights(model, weights):
            for number in range(-(-len(names) // teams)):
                place = number * teams + own
                name = names[min(place, len(names) - 1)]  # processes with fewer samples go along, for nothing
                frames = self._frames(name, precision)
                told = {} if self.score is None else dict(self.score(name, frames))
                counts = place < len(names)
                for key, (hit, judged) in told.items():
                    hits[key] = hits.get(key, 0.0) + hit * counts
                    hits[f"of {key}"] = hits.get(f"of {key}", 0.0) + judged * counts
                if counts and processes.rank % processes.sequence == 0:
                    self._write(run / FOLDER / f"step-{step:08d}", name, frames, step, told)
        self.pipeline.forget("vae")
        hits = processes.sum(hits) if hits else {}
        return {f"sampled/{key}": hits[key] / hits[f"of {key}"] for key in hits if hits.get(f"of {key}")}

    def _frames(self, name: str, precision: str) -> np.ndarray:
        if name not in self.prepared:
            self.prepared[name] = prepare(self.pipeline, self.samples[name], self.config)
            self.pipeline.forget("text_encoder")
        with arithmetic(precision, self.pipeline.device):
            latent = denoise(self.pipeline, self.prepared[name], self.config, [self.seed])
        return decode(self.pipeline, latent)

    def _write(self, folder: Path, name: str, frames: np.ndarray, step: int, told: Mapping[str, tuple[float, float]]) -> None:
        prompt = self.prepared[name].bound.prompt
        record = {"prompt": prompt, "step": step, "seed": self.seed}
        write_video(folder / f"{name}.mp4", frames, self.config.fps, record, enlarge=self.pipeline.defaults.enlarge)
        scores = [f"{key} {hit:g} of {judged:g}" for key, (hit, judged) in told.items()]
        note = ", ".join([f"step {step}, seed {self.seed}", *scores])
        save_image(contact_sheet(self.samples[name].references, frames, prompt=prompt, note=note), folder / f"{name}.png")
