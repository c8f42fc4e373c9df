"""What a measurement of speed or memory is made at: the tokens, the sizes of the model, the machine's part in it."""

import datetime
import platform
from dataclasses import dataclass, replace
from typing import Any

import torch

import lumosx_core
from lumosx_core.model.attention_backends import AttentionBackend
from lumosx_core.model.config import TransformerConfig
from lumosx_core.model.devices import is_cuda
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.numbers import whole_number
from lumosx_core.references import ReferenceKind

SINGLE = 3  # of the references of a case, the background and two objects come first
GROUP = 3  # then subjects with a face and two attributes


@dataclass(frozen=True, kw_only=True)
class SpeedCase:
    """One point of a measurement. layout: of its tokens. config: sizes of the model; attention and blocks take their heads
    from it. batch: videos side by side."""

    layout: TokenLayout
    config: TransformerConfig
    backend: AttentionBackend
    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    batch: int = 1

    def __post_init__(self) -> None:
        whole_number(self.batch, "batch", least=1, most=1024)

    @property
    def without_references(self) -> TokenLayout:
        """The layout of the same video alone."""
        return TokenLayout(self.layout.frames, self.layout.height, self.layout.width)

    @property
    def as_plain(self) -> TokenLayout:
        """The layout of a video without references that has as many tokens: what plain Wan would make of them."""
        return TokenLayout(self.layout.frames + len(self.layout.kinds), self.layout.height, self.layout.width)

    @property
    def half_blank(self) -> TokenLayout:
        """The layout with the lower half of every reference left out, as blank paper is."""
        p = self.layout.tokens_per_frame
        return replace(self.layout, blank=(bytes(p - p // 2) + b"\1" * (p // 2),) * len(self.layout.kinds))

    def together(self) -> TokenLayout:
        """The layout of `batch` videos that share the references."""
        return replace(self.layout, videos=self.batch)

    def with_subjects(self, times: int) -> TokenLayout:
        """The layout with its subjects so many times, each time others: of 0 what belongs to nobody is left."""
        layout = self.layout
        nobody = [place for place, subject in enumerate(layout.subjects) if subject is None]
        owned = [(kind, subject) for kind, subject in zip(layout.kinds, layout.subjects, strict=True) if subject is not None]
        count = 1 + max((subject for _, subject in owned), default=-1)
        return replace(
            layout,
            kinds=(*(layout.kinds[place] for place in nobody), *(kind for kind, _ in owned * times)),
            subjects=(*[None] * len(nobody), *(n * count + subject for n in range(times) for _, subject in owned)),
        )

    def arithmetic(self) -> dict[str, float]:
        """How many products an exact way needs at least: those of the rectangles against plain self-attention on as many
        tokens; those of a block against a plain one; those of a video among `batch` that share the references against one
        alone; and those that twice the subjects add to a block against those that these add (0 without any)."""
        nobody, once, twice = (self._of_a_block(self.with_subjects(times)) for times in (0, 1, 2))
        return {
            "twice the subjects": (twice - nobody) / (once - nobody) if once > nobody else 0.0,
            "self-attention": _area(self.layout) / _area(self.as_plain),
            "block": self._of_a_block(self.layout) / self._of_a_block(self.as_plain),
            "video of a batch": self._of_a_block(self.together()) / (self.batch * self._of_a_block(self.layout)),
        }

    def _of_a_block(self, layout: TokenLayout) -> int:
        """Products of one block between others, without keys and values of the text, which are made once."""
        dim, config = self.config.dim, self.config
        linear = 6 * dim**2 + 2 * dim * config.ffn_dim  # q, k, v, o of self-attention, q, o of cross-attention
        return layout.seq_len * (linear + 2 * dim * config.text_len) + 2 * dim * _area(layout)

    def described(self) -> dict[str, Any]:
        """The case, the machine, the versions and the date, for a report."""
        layout, config = self.layout, self.config
        return {
            "tokens": layout.seq_len,
            "video_tokens": layout.video_len,
            "grid": [layout.frames, layout.height, layout.width],
            "references": len(layout.kinds),
            "batch": self.batch,
            "heads": config.num_heads,
            "head_dim": config.head_dim,
            "ffn_dim": config.ffn_dim,
            "layers": config.num_layers,
            "text_len": config.text_len,
            "dtype": str(self.dtype).removeprefix("torch."),
            "backend": self.backend.name,
            "arithmetic": self.arithmetic(),
            **machine(self.device),
        }


def _area(layout: TokenLayout) -> int:
    """Pairs of query and key that self-attention looks at."""
    return sum((q_stop - q) * (k_stop - k) for q, q_stop, k, k_stop in layout.self_attention_rectangles())


def machine(device: str) -> dict[str, str]:
    """Device, versions and date of a measurement."""
    return {
        "device": torch.cuda.get_device_name(device) if is_cuda(device) else f"cpu, {torch.get_num_threads()} threads",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lumosx": lumosx_core.__version__,
        "date": datetime.date.today().isoformat(),
    }


def layout_with(frames: int, height: int, width: int, *, single: int, groups: list[int]) -> TokenLayout:
    """The layout of a token grid with a background and objects (`single` of them together) and subjects of so many pictures
    each. Raises InputError for counts out of range and for what the position tables cannot hold."""
    whole_number(single, "single", least=0, most=1000)
    kinds: list[ReferenceKind] = ["background" if not place else "object" for place in range(single)]
    subjects: list[int | None] = [None] * single
    for number, images in enumerate(groups):
        whole_number(images, "groups", least=0, most=1000)
        kinds += ["attribute" if place else "face" for place in range(images)]
        subjects += [number] * images
    return TokenLayout(frames, height, width, kinds=tuple(kinds), subjects=tuple(subjects))


def shared_out(references: int) -> tuple[int, list[int]]:
    """So many references as background and objects, and pictures of each subject: 9 are 3 and [3, 3]."""
    single = min(references, SINGLE)
    rest = references - single
    groups = [GROUP] * (rest // GROUP)
    return single, groups + ([rest % GROUP] if rest % GROUP else [])
