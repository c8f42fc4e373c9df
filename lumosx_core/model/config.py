"""Sizes of the transformer, and the presets in use."""

import json
from dataclasses import asdict, dataclass, fields

from lumosx_core.errors import InputError
from lumosx_core.files.json import parse_json, parse_record
from lumosx_core.numbers import real_number, whole_number

ROPE_TABLE_LENGTH = 1024  # positions per axis in Wan's rotary tables
MAX_SIZE = 2**20  # of every whole number of the config; a model of such a width would not fit any machine


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Sizes of a Wan2.1 text-to-video transformer, and the two numbers of the multilevel mask.

    Raises InputError on construction if the sizes do not fit together.
    """

    dim: int  # width of the hidden state
    num_heads: int  # dim / num_heads must be even
    num_layers: int
    ffn_dim: int
    freq_dim: int = 256  # width of the sinusoidal timestep embedding, even
    text_dim: int = 4096  # width of the text encoder
    text_len: int = 512  # text positions in cross-attention, zero padding included
    in_dim: int = 16  # latent channels
    out_dim: int = 16
    patch_size: tuple[int, int, int] = (1, 2, 2)  # time, height, width
    eps: float = 1e-6
    multilevel_ratio: float = 0.5  # strength of the multilevel cross-attention mask
    multilevel_pool: int = 8  # side of its pooling cells, in tokens

    def __post_init__(self) -> None:
        object.__setattr__(self, "patch_size", tuple(self.patch_size))
        for field in fields(self):
            if field.type is int:
                value = whole_number(getattr(self, field.name), f"transformer config: {field.name}", least=1, most=MAX_SIZE)
                object.__setattr__(self, field.name, value)
        real_number(self.eps, "transformer config: eps", least=0, most=1)
        real_number(self.multilevel_ratio, "transformer config: multilevel_ratio", least=0, most=1000)
        if self.dim % self.num_heads or (self.dim // self.num_heads) % 2:
            raise InputError(
                f"transformer config: dim {self.dim} over {self.num_heads} heads gives no even head width; "
                "choose dim as an even multiple of num_heads"
            )
        if self.patch_size != (1, 2, 2):
            raise InputError(f"transformer config: patch_size is {self.patch_size}, this model supports (1, 2, 2)")
        if self.freq_dim % 2:
            raise InputError(f"transformer config: freq_dim is {self.freq_dim}, expected an even number")

    @property
    def head_dim(self) -> int:
        """Channels of one attention head."""
        return self.dim // self.num_heads

    def to_json(self) -> str:
        """The fields as a JSON object (what checkpoints carry in their metadata)."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "TransformerConfig":
        """The inverse of `to_json`. Raises InputError for no JSON, unknown or missing fields, and wrong values."""
        return parse_record(TransformerConfig, parse_json(text, "transformer config"), "transformer config")


PRESETS: dict[str, TransformerConfig] = {
    "t2v_1_3b": TransformerConfig(dim=1536, num_heads=12, num_layers=30, ffn_dim=8960),
    "t2v_14b": TransformerConfig(dim=5120, num_heads=40, num_layers=40, ffn_dim=13824),
    "nano": TransformerConfig(dim=192, num_heads=4, num_layers=6, ffn_dim=768, freq_dim=128, text_dim=96, text_len=80),
    # Of the ablation: a third of the arithmetic of nano, on the same latents and texts.
    "small": TransformerConfig(dim=128, num_heads=4, num_layers=4, ffn_dim=512, freq_dim=128, text_dim=96, text_len=80),
    "debug": TransformerConfig(dim=32, num_heads=2, num_layers=2, ffn_dim=64, freq_dim=16, text_dim=24, text_len=16),
    # Reads what the embedded nano's VAE and text encoder give, and is wide enough to learn something: 32 channels are not.
    "debug_64": TransformerConfig(dim=64, num_heads=2, num_layers=3, ffn_dim=256, freq_dim=32, text_dim=96, text_len=80),
}
