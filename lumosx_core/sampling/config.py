"""How a video is sampled: every number of it, and the defaults that a model folder brings."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from lumosx_core.files.json import parse_record, read_json, write_json
from lumosx_core.model.flow import checked_shift, checked_steps
from lumosx_core.model.regions import read_region
from lumosx_core.model.relational_options import RelationalOptions, check_choice
from lumosx_core.model.video_size import VideoSize
from lumosx_core.numbers import real_number, whole_number
from lumosx_core.sampling.solver import solver_named

MAX_CFG = 1000.0  # far beyond every use
MAX_FPS = 1000
MAX_ENLARGE = 64
OnProblem = Literal["error", "warn"]
WAN_NEGATIVE_PROMPT = (
    "\u8272\u8c03\u8273\u4e3d\uff0c\u8fc7\u66dd\uff0c\u9759\u6001\uff0c\u7ec6\u8282\u6a21\u7cca\u4e0d\u6e05\uff0c"
    "\u5b57\u5e55\uff0c\u98ce\u683c\uff0c\u4f5c\u54c1\uff0c\u753b\u4f5c\uff0c\u753b\u9762\uff0c\u9759\u6b62\uff0c"
    "\u6574\u4f53\u53d1\u7070\uff0c\u6700\u5dee\u8d28\u91cf\uff0c\u4f4e\u8d28\u91cf\uff0cJPEG\u538b\u7f29\u6b8b\u7559\uff0c"
    "\u4e11\u964b\u7684\uff0c\u6b8b\u7f3a\u7684\uff0c\u591a\u4f59\u7684\u624b\u6307\uff0c\u753b\u5f97\u4e0d\u597d\u7684"
    "\u624b\u90e8\uff0c\u753b\u5f97\u4e0d\u597d\u7684\u8138\u90e8\uff0c\u7578\u5f62\u7684\uff0c\u6bc1\u5bb9\u7684\uff0c"
    "\u5f62\u6001\u7578\u5f62\u7684\u80a2\u4f53\uff0c\u624b\u6307\u878d\u5408\uff0c\u9759\u6b62\u4e0d\u52a8\u7684\u753b\u9762"
    "\uff0c\u6742\u4e71\u7684\u80cc\u666f\uff0c\u4e09\u6761\u817f\uff0c\u80cc\u666f\u4eba\u5f88\u591a\uff0c\u5012\u7740\u8d70"
)  # Wan2.1's usual negative prompt (Chinese)


@dataclass(frozen=True, kw_only=True)
class GenerationConfig(RelationalOptions):
    """How to sample. Raises InputError on construction for values out of range."""

    width: int  # pixels, a multiple of 16
    height: int
    frames: int  # 4n + 1
    steps: int = 50
    cfg: float = 6.0  # guidance scale; 1 leaves the negative pass out
    shift: float = 8.0
    solver: str = "dpmpp_2m"
    fps: int = 16
    negative_prompt: str = ""
    cfg_batched: bool = True  # both passes in one batch, or one after the other in half the memory
    attention: str = "auto"
    on_problem: OnProblem = "error"  # a phrase that is not in the prompt
    regions: tuple[str, ...] = ()  # where each subject may appear, in their order, as `model/regions.py` reads it

    def __post_init__(self) -> None:
        def put(name: str, number: float) -> None:
            object.__setattr__(self, name, number)

        super().__post_init__()
        for name, value in vars(self.size).items():
            put(name, value)
        put("steps", checked_steps(self.steps))
        put("cfg", real_number(self.cfg, "cfg", least=0, most=MAX_CFG))
        put("shift", checked_shift(self.shift))
        put("fps", whole_number(self.fps, "fps", least=1, most=MAX_FPS))
        check_choice(self.on_problem, "on_problem", get_args(OnProblem))
        solver_named(self.solver)
        object.__setattr__(self, "regions", tuple(self.regions))
        self.region_tokens  # noqa: B018 - a wrong one is told now

    @property
    def region_tokens(self) -> tuple[bytes, ...]:
        """Of each subject that has a region the tokens in it, as `TokenLayout` takes them."""
        return tuple(read_region(said, self.size, f"the region of subject {n}") for n, said in enumerate(self.regions, 1))

    @property
    def size(self) -> VideoSize:
        """The size of the video."""
        return VideoSize(width=self.width, height=self.height, frames=self.frames)


@dataclass(frozen=True, kw_only=True)
class PipelineDefaults(GenerationConfig):
    """What `generate` uses when the user says nothing else: a configuration, and how large its frames are written. The values
    here are those of the released 1.3B model. A negative_references of "blank" is for weights that were trained to be guided by
    the references too."""

    width: int = 832
    height: int = 480
    frames: int = 81
    negative_prompt: str = WAN_NEGATIVE_PROMPT
    enlarge: int = 1  # whole factor at which frames are written (pixel art)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "enlarge", whole_number(self.enlarge, "enlarge", least=1, most=MAX_ENLARGE))

    @property
    def config(self) -> GenerationConfig:
        """The configuration alone."""
        return GenerationConfig(**{field.name: getattr(self, field.name) for field in fields(GenerationConfig)})


def save_defaults(folder: Path, defaults: PipelineDefaults) -> None:
    """Write `pipeline.json` whole or not at all."""
    write_json(folder / "pipeline.json", asdict(defaults))


def read_defaults(folder: Path) -> PipelineDefaults:
    """The content of `pipeline.json`; fields that it lacks are as published. Raises InputError, naming the file, if it is
    broken or holds other things."""
    path = folder / "pipeline.json"
    return parse_record(PipelineDefaults, read_json(path, "the pipeline's defaults"), str(path))
