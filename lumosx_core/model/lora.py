"""LoRA (Hu et al. 2021, arXiv 2106.09685) of a Wan2.1 transformer as a file: reading, merging into weights, writing.

A weight W becomes W + strength * (alpha / rank) * B A, with A [rank, in] and B [out, rank]; norms, biases and modulation have
no such factors and become W + strength * difference. The file that is written is the one that ComfyUI reads: names
`diffusion_model.<Wan's module>.lora_A.weight`, `.lora_B.weight`, `.alpha`, and `.diff` or `.diff_b` for differences.
"""

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from lumosx_core.errors import InputError
from lumosx_core.files.stored import StoredTensor
from lumosx_core.files.weight_checks import SHOWN, FiniteCheck, check_types
from lumosx_core.files.weights import open_weights, write_safetensors
from lumosx_core.model.lora_names import place_of
from lumosx_core.numbers import real_number

log = logging.getLogger(__name__)
FORMAT = "lumosx-lora"
PREFIX = "diffusion_model."
MAX_STRENGTH = 1000.0  # far beyond every use


@dataclass(frozen=True, kw_only=True)
class Factors:
    """down (A) [rank, in], up (B) [out, rank]; the weight changes by alpha / rank * up @ down."""

    down: torch.Tensor
    up: torch.Tensor
    alpha: float

    @property
    def rank(self) -> int:
        """Width of the factors."""
        return self.down.shape[0]

    def change(self) -> torch.Tensor:
        """float32 [out, in]: what is added to the weight at strength 1."""
        return (self.alpha / self.rank) * (self.up.float().flatten(1) @ self.down.float().flatten(1))


@dataclass(frozen=True, kw_only=True)
class Lora:
    """name: for messages. factors: by Wan's name of the module ("blocks.0.self_attn.q"). differences: by name of the weight
    ("blocks.0.norm3.bias"). metadata: the file's; ours holds `base` (of `weights_digest`), rank, alpha, recipe, relations."""

    name: str
    factors: dict[str, Factors]
    differences: dict[str, torch.Tensor] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)

    def changes(self) -> list[str]:
        """The names of all weights that it changes."""
        return [*(f"{module}.weight" for module in self.factors), *self.differences]

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything by the names of the file."""
        result: dict[str, torch.Tensor] = {}
        for module, factors in self.factors.items():
            result[f"{PREFIX}{module}.lora_A.weight"] = factors.down
            result[f"{PREFIX}{module}.lora_B.weight"] = factors.up
            result[f"{PREFIX}{module}.alpha"] = torch.tensor(factors.alpha, dtype=torch.float32)
        for name, value in self.differences.items():
            module, _, last = name.rpartition(".")
            key = {"weight": f"{module}.diff", "bias": f"{module}.diff_b"}.get(last, f"{name}.diff")
            result[PREFIX + key] = value
        return result


def read_lora(path: str | Path, *, alpha: float | None = None) -> Lora:
    """A LoRA of any of the namings in circulation (`lora_names.py`), every tensor checked.

    alpha: of factors that the file tells none of; None takes their rank and says so in the log, since programs that train
    with another alpha and do not store it would be halved or doubled without a word. Raises InputError for damaged files,
    files without LoRA, keys that are not understood (named), factors that do not belong together, and values not finite.
    """
    if alpha is not None:
        alpha = real_number(alpha, "alpha", above=0, most=1e6)
    stored, metadata = open_weights(path)
    check_types(str(path), stored)
    check = FiniteCheck(str(path))
    found: dict[str, dict[str, torch.Tensor]] = {}
    strange = []
    for key, value in stored.items():
        place = place_of(key)
        if place is None or place[1] in found.get(place[0], {}):
            strange.append(key)
            continue
        tensor = value.read()
        found.setdefault(place[0], {})[place[1]] = check.converted(key, tensor, tensor.dtype)
    if not any(parts.keys() - {"alpha"} for parts in found.values()):
        raise InputError(f"{path} holds no LoRA of a Wan transformer, but {_some(list(stored))}; give the right file")
    if strange:
        raise InputError(
            f"{path}: {len(strange)} of {len(stored)} keys fit no weight of a Wan2.1 text-to-video transformer: "
            f"{_some(strange)}; it is of another model, or of another kind than LoRA (LoHa, LoKr, DoRA are not read)"
        )
    check.finish()
    factors: dict[str, Factors] = {}
    differences: dict[str, torch.Tensor] = {}
    untold = []
    for module, parts in found.items():
        for part in parts.keys() & {"weight", "bias", "itself"}:
            differences[module if part == "itself" else f"{module}.{part}"] = parts[part]
        if parts.keys() & {"down", "up"}:
            if "alpha" not in parts:
                untold.append(module)
            factors[module] = _factors(str(path), module, parts, alpha)
        elif "alpha" in parts:
            raise InputError(f"{path}: {module} has an alpha and no factors; the file is not whole, get it again")
    if untold:
        taken = "the rank is taken (the whole effect)" if alpha is None else f"{alpha:g} is taken as asked"
        log.warning("%s tells no alpha of %d of %d layers: %s", path, len(untold), len(factors), taken)
    return Lora(name=str(path), factors=factors, differences=differences, metadata=metadata)


def _factors(what: str, module: str, parts: Mapping[str, torch.Tensor], alpha: float | None) -> Factors:
    down, up = parts.get("down"), parts.get("up")
    if down is None or up is None:
        raise InputError(f"{what}: {module} has only one of its two factors; the file is not whole, get it again")
    if down.ndim < 2 or up.ndim < 2 or down.shape[0] != up.shape[1] or not down.numel() or not up.numel():
        raise InputError(
            f"{what}: the factors of {module} are {tuple(down.shape)} and {tuple(up.shape)}, not [rank, in] and [out, rank]"
        )
    told = parts.get("alpha")
    if told is not None and told.numel() != 1:
        raise InputError(f"{what}: the alpha of {module} is {tuple(told.shape)}, expected one number")
    number = float(told) if told is not None else alpha if alpha is not None else float(down.shape[0])
    return Factors(down=down, up=up, alpha=number)


def write_lora(path: str | Path, lora: Lora) -> Path:
    """Write it for ComfyUI, whole or not at all, then read it back and compare.

    Raises InputError for an unwritable target, values that are not finite, or a file that reads as something else (a faulty
    disk); then the file is left for inspection and named.
    """
    check = FiniteCheck(lora.name)
    tensors = {key: check.converted(key, value, value.dtype) for key, value in lora.tensors().items()}
    check.finish()
    written = write_safetensors(path, tensors, {**lora.metadata, "format": FORMAT}, what="the LoRA")
    back = read_lora(written)
    again = back.tensors()
    differing = [
        key
        for key in {**tensors, **again}
        if key not in again or key not in tensors or not torch.equal(again[key], tensors[key].cpu())
    ]
    if differing or back.metadata != {**lora.metadata, "format": FORMAT}:
        raise InputError(f"{written} reads otherwise than it was written ({_some(differing) or 'metadata'}); check the disk")
    return written


def with_loras(what: str, stored: Mapping[str, StoredTensor], loras: Sequence[tuple[Lora, float]]) -> dict[str, StoredTensor]:
    """Stored weights (Wan's names) with LoRA of these strengths added in float32 as they are read; the others stay as they are.

    what: names the weights in messages. A LoRA that was trained on other weights of the same shapes is told in the log. Raises
    InputError as `check_loras` does.
    """
    check_loras(what, {name: value.shape for name, value in stored.items()}, loras)
    result = dict(stored)
    for lora, strength in loras:
        for module, factors in lora.factors.items():
            _add(result, f"{module}.weight", factors, strength)
        for name, value in lora.differences.items():
            _add(result, name, value, strength)
    based = [lora for lora, _ in loras if lora.metadata.get("base")]
    digest = weights_digest(stored) if based else ""
    for lora in based:
        if lora.metadata["base"] != digest:
            log.warning(
                "%s was trained on the weights %s, %s holds %s: another model, or the same one stored in another type; the "
                "LoRA may do less, or other things, than it learnt",
                lora.name,
                lora.metadata["base"],
                what,
                digest,
            )
    return result


def _add(weights: dict[str, StoredTensor], name: str, change: Factors | torch.Tensor, strength: float) -> None:
    before = weights[name]

    def read() -> torch.Tensor:
        added = change.change() if isinstance(change, Factors) else change.float()
        return before.read().float() + strength * added.reshape(before.shape)

    weights[name] = StoredTensor(before.shape, torch.float32, read)


def check_loras(what: str, shapes: Mapping[str, tuple[int, ...]], loras: Sequence[tuple[Lora, float]]) -> None:
    """Raises InputError if a LoRA changes weights that are not there or of another shape, or its strength is no number.

    shapes: of the weights, by Wan's names. what: names them in messages.
    """
    for lora, strength in loras:
        real_number(strength, f"strength of {lora.name}", least=-MAX_STRENGTH, most=MAX_STRENGTH)
        changed: dict[str, tuple[int, ...]]
        changed = {f"{module}.weight": (f.up.shape[0], f.down[0].numel()) for module, f in lora.factors.items()}
        changed |= {name: tuple(value.shape) for name, value in lora.differences.items()}
        there = {name: tuple(shapes[name]) for name in changed if name in shapes}
        for name in there.keys() - lora.differences.keys():  # factors see a convolution as a matrix
            there[name] = (there[name][0], math.prod(there[name][1:]))
        missing = [name for name in changed if name not in there]
        wrong = [
            f"{name} {shape} instead of {there[name]}" for name, shape in changed.items() if there.get(name, shape) != shape
        ]
        labelled = ((missing, "not there"), (wrong, "of another shape"))
        faults = [f"{len(names)} {label}: {_some(names)}" for names, label in labelled if names]
        if faults:
            raise InputError(
                f"{lora.name} is for another model than {what}: of {len(changed)} weights that it changes are "
                f"{'; '.join(faults)}. Give a LoRA of this model"
            )


def weights_digest(state: Mapping[str, StoredTensor | torch.Tensor]) -> str:
    """16 hexadecimal digits over the names and the numbers of weights as bf16: the same for a model in fp32 and in bf16."""
    total = hashlib.sha256()
    for name in sorted(state):
        value = state[name]
        numbers = value.read() if isinstance(value, StoredTensor) else value
        content = numbers.detach().cpu().to(torch.bfloat16).contiguous().view(torch.uint8)
        total.update(name.encode() + hashlib.sha256(content.numpy().data).digest())
    return total.hexdigest()[:16]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(name[:120] for name in names[:SHOWN]) + more
