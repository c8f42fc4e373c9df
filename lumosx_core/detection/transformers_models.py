"""Models in folders of the transformers library: loaded from disk alone, with messages that say what is wrong."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lumosx_core.errors import InputError
from lumosx_core.files.json import read_json
from lumosx_core.packages import install_command


@dataclass(frozen=True, kw_only=True)
class FolderModel:
    """A model with its processor (what makes tensors of pictures and words, and boxes of tensors) and its kind."""

    model: Any
    processor: Any
    kind: str


def stored_kind(folder: Path, kinds: Collection[str]) -> str:
    """The model_type in a folder's config.json, which is one of `kinds`. Raises InputError if there is none, or another one."""
    config = folder / "config.json"
    if not config.is_file():
        raise InputError(f"there is no config.json in {folder}; put all files of the model there")
    stored = read_json(config)
    kind = stored.get("model_type") if isinstance(stored, dict) else None
    if not isinstance(kind, str) or kind not in kinds:
        raise InputError(
            f"the model in {folder} is of the kind {kind!r}, expected one of {', '.join(kinds)}; give another folder"
        )
    return kind


def load_folder(folder: Path, kinds: dict[str, tuple[str, str]], device: str = "cpu") -> FolderModel:
    """The model of a folder that `save_pretrained` wrote, ready to look. Nothing is downloaded, no code of the folder is run.

    kinds: config.json's model_type -> names of the model's and the processor's class in transformers.
    Raises InputError for a folder without config.json, a model of another kind, a transformers that does not know the kind, and
    files that do not fit together.
    """
    kind = stored_kind(folder, kinds)
    try:
        import transformers

        model_class, processor_class = (getattr(transformers, name) for name in kinds[kind])
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"the model in {folder} needs the package transformers, one that knows {kind} ({error}); run  "
            f"{install_command(['transformers'])}  and start again"
        ) from error
    try:
        model = model_class.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
        processor = processor_class.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, ImportError) as error:
        fault = " ".join(str(error).split())[:300]
        raise InputError(f"the model in {folder} cannot be loaded ({fault}); copy all its files again") from error
    return FolderModel(model=model.to(device).train(False).requires_grad_(False), processor=processor, kind=kind)


class OnDemand:
    """Base of the finders that keep one model: loaded when it is needed first, gone after `free`.

    lend: where a host has a memory manager, what puts the model on the device before every use; else it stays there.
    """

    kinds: dict[str, tuple[str, str]] = {}

    def __init__(self, folder: Path, *, device: str = "cpu") -> None:
        self.folder, self.device = folder, device
        self.lend: Callable[[Any], None] | None = None
        self._loaded: FolderModel | None = None

    def loaded(self) -> FolderModel:
        """The model. Raises InputError as `load_folder` does."""
        if self._loaded is None:
            self._loaded = load_folder(self.folder, self.kinds, "cpu" if self.lend else self.device)
        loaded = self._loaded
        if self.lend is not None:
            self.lend(loaded.model)
        return loaded

    def free(self) -> None:
        """Let go of the model; the next use loads it again."""
        self._loaded = None
