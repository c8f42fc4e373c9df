"""LoRA in a training (Hu et al. 2021, arXiv 2106.09685): a frozen transformer, and small factors beside its matrices, which
learn.

The layers keep their names and their own weights, so that loss, validation, average and states see one model as before, and
what learns is what asks for gradients. Own code, not peft: there the layers are wrapped, every name changes, and with it come
accelerate and the hub for these forty lines.

Legend: in, out = channels of a layer, r = rank.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from lumosx_core.errors import InputError
from lumosx_core.model.lora import Factors, Lora, weights_digest, write_lora
from lumosx_core.model.relational_options import RelationalOptions
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.training.config import LoraConfig, TrainingConfig
from lumosx_core.training.parallelize import like

# Parts of the names of norms. Not the modulations: ComfyUI 0.33.0 takes their differences without a word and does not apply
# them (its patches reach parameters of modules without children only), so that a video there would be another one.
NORMS = (".norm_q.", ".norm_k.", ".norm3.")


class LoraLinear(nn.Linear):
    """A linear layer whose own weight is frozen, with factors beside it: x W' + b + alpha / r * x A' B'.

    lora_A [r, in] starts uniform in +-1 / sqrt(in), lora_B [out, r] at zero: at first the layer does what it did. Both are
    float32, whatever the type of the frozen weight.
    """

    def __init__(self, base: nn.Linear, config: LoraConfig, generator: torch.Generator | None) -> None:
        super().__init__(base.in_features, base.out_features, bias=base.bias is not None, device="meta")
        self.weight, self.bias = base.weight, base.bias
        # A layer that keeps its weight in its own way; in a tuple, so that it is no module of its own and the names stay.
        self.frozen = () if type(base) is nn.Linear else (base,)
        self.scale = config.scale
        bound, device = 1 / math.sqrt(base.in_features), base.bias.device
        start = torch.empty(config.rank, base.in_features, device="meta" if device.type == "meta" else "cpu")
        self.lora_A = nn.Parameter(start.uniform_(-bound, bound, generator=generator).to(device))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, config.rank, device=device))

    def _apply(self, fn: Callable, recurse: bool = True) -> "LoraLinear":
        """The frozen layer is moved too; its weight stays this layer's."""
        super()._apply(fn, recurse)
        for base in self.frozen:
            base._apply(fn, recurse)
            self.weight, self.bias = base.weight, base.bias
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out] in the type that the frozen layer gives."""
        own = self.frozen[0](x) if self.frozen else F.linear(x, self.weight, self.bias)
        if not torch.is_autocast_enabled(x.device.type):  # autocast chooses the type itself; a wide copy is only in the way
            x = x.to(self.lora_A.dtype)
        learnt = F.linear(F.linear(x, self.lora_A), self.lora_B)
        return own + (self.scale * learnt).to(own.dtype)


def add_lora(model: LumosXTransformer, config: LoraConfig, seed: int = 0) -> None:
    """Freeze a transformer and put factors beside the layers that the config names, in every block. seed: of their start.

    With `train_norms` the norms of queries and keys and the affine norm learn too.
    """
    device = model.patch_embedding.weight.device
    generator = None if device.type == "meta" else torch.Generator().manual_seed(seed)
    model.requires_grad_(False)
    for block in model.blocks:
        for layer in config.layers:
            parent, _, name = layer.rpartition(".")
            module = block.get_submodule(parent)
            base = module.get_submodule(name)
            assert isinstance(base, nn.Linear)
            setattr(module, name, LoraLinear(base, config, generator))
    if config.train_norms:
        for name, parameter in model.named_parameters():
            if any(part in name for part in NORMS):
                parameter.requires_grad_(True)


def trained_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """What learns, by name: everything, or of a frozen transformer the factors and what is trained beside them."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def put_weights(model: nn.Module, weights: Mapping[str, torch.Tensor]) -> None:
    """Copy values into what learns; `weights` has the same names."""
    with torch.no_grad():
        for name, parameter in trained_weights(model).items():
            parameter.copy_(like(weights[name], parameter))


def export_lora(
    path: str | Path, model: LumosXTransformer, config: TrainingConfig, initial: Mapping[str, torch.Tensor], *, steps: int
) -> Path:
    """Write what a model has learnt beside its frozen weights as ComfyUI reads it; read back and compared (`write_lora`).

    model: as `train` returns it. initial: the weights that it started from. steps: how many it was trained, for the metadata.
    Raises InputError for a run without LoRA, and as `write_lora` does.
    """
    if config.lora is None:
        raise InputError("this training has no LoRA to write; give a rank")
    trained = {name: value.detach().cpu() for name, value in trained_weights(model).items()}
    modules = [name.removesuffix(".lora_A") for name in trained if name.endswith(".lora_A")]
    alpha = config.lora.full_alpha
    factors = {m: Factors(down=trained[f"{m}.lora_A"], up=trained[f"{m}.lora_B"], alpha=alpha) for m in modules}
    rest = {name: value for name, value in trained.items() if not name.endswith((".lora_A", ".lora_B"))}
    differences = {name: value - initial[name].cpu().float() for name, value in rest.items()}
    switches = asdict(RelationalOptions(ratio=model.config.multilevel_ratio))
    metadata = {
        "base": weights_digest(initial),
        "config": model.config.to_json(),
        "rank": str(config.lora.rank),
        "alpha": str(alpha),
        "steps": str(steps),
        "recipe": json.dumps(asdict(config)),
        "relations": json.dumps(switches | {"multilevel_pool": model.config.multilevel_pool}),
    }
    return write_lora(
        path, Lora(name=f"what should become {path}", factors=factors, differences=differences, metadata=metadata)
    )
