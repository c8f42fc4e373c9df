"""The first and the last block of a patched model: tokens that are not computed leave before the one, and zeros come back after
the other."""

from collections.abc import Callable
from dataclasses import dataclass, field

from lumosx_core.errors import InputError


@dataclass
class BlockEnds:
    """blocks: the replacements that were set for the two, by their number."""

    blocks: dict[int, Callable] = field(default_factory=dict)

    def are_there(self, transformer_options: dict) -> bool:
        """Whether no later node has put another replacement in the place of one."""
        replaced = (transformer_options.get("patches_replace") or {}).get("dit") or {}
        return all(replaced.get(("double_block", index)) is block for index, block in self.blocks.items())

    def check(self, transformer_options: dict) -> None:
        """Raises InputError unless both are there."""
        if not self.are_there(transformer_options):
            raise InputError(
                f"a node after LumosX replaces block {' or '.join(map(str, self.blocks))} of the model (as Skip Layer Guidance "
                "does), where the tokens leave and come back that LumosX does not compute; choose other blocks there, or set "
                "blank_tokens to keep and reference_refresh to 1"
            )
