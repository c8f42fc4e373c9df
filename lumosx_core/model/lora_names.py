"""Names of a LoRA's tensors: what programs call them, and the weight of a Wan2.1 transformer that each is of.

Read are Wan's names bare or behind `diffusion_model.`, `base_model.model.` (peft), `transformer.` (diffusers) and the like;
diffusers' names of the same layers; and both with underscores for dots (`lora_unet_blocks_0_self_attn_q`, kohya's way).
"""

import re

PREFIXES = (
    "base_model.model.", "diffusion_model.", "model.", "transformer.", "unet.", "module.", "dit.", "pipe.",
    "lora_unet_", "lora_transformer_", "lycoris_",
)  # fmt: skip
# Ends of keys -> what they hold. Longest first, so that none hides another.
PARTS = {
    ".lora_linear_layer.down.weight": "down", ".lora_linear_layer.up.weight": "up",
    ".lora_A.default.weight": "down", ".lora_B.default.weight": "up",
    ".lora_down.weight": "down", ".lora_up.weight": "up",
    ".lora.down.weight": "down", ".lora.up.weight": "up", "_lora.down.weight": "down", "_lora.up.weight": "up",
    ".lora_A.weight": "down", ".lora_B.weight": "up", ".lora_A": "down", ".lora_B": "up",
    ".alpha": "alpha", ".diff_b": "bias", ".diff": "weight",
}  # fmt: skip
ATTENTION = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "o", "norm_q": "norm_q", "norm_k": "norm_k"}
# diffusers' names -> Wan's, inside a block and outside.
IN_BLOCK = {
    **{f"attn1.{theirs}": f"self_attn.{ours}" for theirs, ours in ATTENTION.items()},
    **{f"attn2.{theirs}": f"cross_attn.{ours}" for theirs, ours in ATTENTION.items()},
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
    "norm2": "norm3",
    "scale_shift_table": "modulation",
}
OUTSIDE = {
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "patch_embedding": "patch_embedding", "proj_out": "head.head", "scale_shift_table": "head.modulation",
}  # fmt: skip


def _flat(table: dict[str, str]) -> dict[str, str]:
    """Both namings with underscores for dots -> Wan's."""
    own = {name.replace(".", "_"): name for name in table.values()}
    return own | {theirs.replace(".", "_"): ours for theirs, ours in table.items()}


# diffusers' norm2 is Wan's norm3; diffusers' norm3 has no weights, so that both names mean the same.
FLAT_IN_BLOCK, FLAT_OUTSIDE = _flat(IN_BLOCK), _flat(OUTSIDE)
BLOCK = re.compile(r"blocks[._](\d{1,4})[._](.+)", re.ASCII)


def place_of(key: str) -> tuple[str, str] | None:
    """(Wan's module, what of it) of a key, or None if it is not understood.

    What: "down", "up", "alpha"; for differences "weight", "bias", or "itself" where the module is a parameter (modulation).
    """
    end = next((end for end in PARTS if key.endswith(end)), None)
    if end is None:
        return None
    name, what = key[: -len(end)], PARTS[end]
    if what == "weight" and name.endswith(".bias"):
        name, what = name.removesuffix(".bias"), "bias"
    while prefix := next((prefix for prefix in PREFIXES if name.startswith(prefix)), ""):
        name = name[len(prefix) :]
    module = module_named(name)
    if module is None:
        return None
    if module.endswith("modulation"):
        return (module, "itself") if what == "weight" else None
    return module, what


def module_named(name: str) -> str | None:
    """Wan's name of a module or modulation that is called `name` without prefix; None if there is none."""
    inside = BLOCK.fullmatch(name)
    if inside is None:
        return FLAT_OUTSIDE.get(name.replace(".", "_"))
    found = FLAT_IN_BLOCK.get(inside[2].replace(".", "_"))
    return None if found is None else f"blocks.{int(inside[1])}.{found}"
