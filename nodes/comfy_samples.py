"""Where sample folders and saved people are: embedded in the pack, and the user's below ComfyUI's input folder."""

from pathlib import Path

import folder_paths

from lumosx_core.errors import InputError, quoted
from lumosx_core.files.names import escape_phrase, natural_order, unescape_phrase

EMBEDDED = Path(__file__).parent.parent / "lumosx_core" / "assets" / "samples"
PHOTOGRAPHS = EMBEDDED.parent / "photographs"
OWN = "lumosx"  # the folder below ComfyUI's input folder
SUBJECTS = "subjects"  # the folder in it with one folder for every saved person
NO_SUBJECT = "none"  # in the list of people, so that it is never empty
LONGEST_SUBJECT = 80  # letters of a person's name in the list


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


def sample_photographs() -> dict[str, Path]:
    """Choice -> embedded photograph of the puppet world."""
    return {path.stem: path for path in sorted(PHOTOGRAPHS.glob("*.png"))}


def saved_subjects() -> list[str]:
    """The choices for a saved person: their names in natural order, then "none"."""
    folders = [path for path in _subjects().iterdir() if path.is_dir()] if _subjects().is_dir() else []
    names = [unescape_phrase(path.name) for path in folders if path.name[0] != "."]
    return [*sorted(names, key=natural_order), NO_SUBJECT]


def saved_subject(choice: str) -> Path:
    """The folder of a saved person. Raises InputError, saying how to save one, if there is none of that name."""
    if choice == NO_SUBJECT or choice not in saved_subjects():
        what = "nobody is chosen" if choice == NO_SUBJECT else f"nobody is saved as {quoted(choice)}"
        raise InputError(
            f"{what}; save a person with LumosX Save Subject, reload the page and choose the name, or put a folder with "
            f"face_<name>.png and <attribute>.png into {_subjects()}"
        )
    return _subjects() / escape_phrase(choice)


def new_subject(name: str) -> Path:
    """The folder for a person to be saved under that name. Raises InputError for a name that is none."""
    name = " ".join(name.split())
    if not name or name == NO_SUBJECT or len(name) > LONGEST_SUBJECT:
        raise InputError(f"the name is {quoted(name)}, expected 1 to {LONGEST_SUBJECT} letters, and not {NO_SUBJECT!r}")
    return _subjects() / escape_phrase(name)


def _subjects() -> Path:
    return Path(folder_paths.get_input_directory()) / OWN / SUBJECTS
