"""Where sample folders are: those embedded in the pack, and the user's below ComfyUI's input folder."""

from pathlib import Path

import folder_paths

from lumosx_core.errors import InputError, quoted

EMBEDDED = Path(__file__).parent.parent / "lumosx_core" / "assets" / "samples"
OWN = "lumosx"  # the folder below ComfyUI's input folder


def sample_folders() -> dict[str, Path]:
    """Choice -> sample folder: the embedded ones by name, the user's as "input/lumosx/<name>"."""
    own = Path(folder_paths.get_input_directory()) / OWN
    return {
        **{path.parent.name: path.parent for path in sorted(EMBEDDED.glob("*/caption.txt"))},
        **{f"input/{OWN}/{path.parent.name}": path.parent for path in sorted(own.glob("*/caption.txt"))},
    }


def sample_folder(choice: str) -> Path:
    """The folder of a choice. Raises InputError, naming the choices, if it is gone."""
    folders = sample_folders()
    if choice not in folders:
        raise InputError(
            f"there is no sample {quoted(choice)}; choose one of {', '.join(folders)} (reload the page for new ones)"
        )
    return folders[choice]
