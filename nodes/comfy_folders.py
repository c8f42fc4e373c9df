"""Where ComfyUI keeps the files of Segment Anything and insightface."""

from pathlib import Path

import folder_paths

from lumosx_core.errors import InputError

NO_FILE = "none"  # in the list of files, so that it is never empty
SAM_SUFFIXES = (".pth", ".pt", ".safetensors")


def sam_files() -> list[str]:
    """The choices for a Segment Anything file: what is in models/sams, then "none". Makes the folder known to the host."""
    folder_paths.folder_names_and_paths.setdefault("sams", ([], set(folder_paths.supported_pt_extensions)))
    folder_paths.add_model_folder_path("sams", str(_models() / "sams"))
    return [*(name for name in folder_paths.get_filename_list("sams") if name.endswith(SAM_SUFFIXES)), NO_FILE]


def sam_path(name: str) -> Path:
    """The file of a choice of `sam_files`. Raises InputError, saying where to get one, if it is "none" or gone."""
    found = folder_paths.get_full_path("sams", name) if name in sam_files() and name != NO_FILE else None
    if found is None:
        what = "no Segment Anything file is chosen" if name == NO_FILE else f"there is no Segment Anything file {name!r}"
        raise InputError(
            f'{what}; get sam_vit_b_01ec64.pth from "Model Checkpoints" in the readme of Segment Anything '
            f"(github.com/facebookresearch/segment-anything), put it into {_models() / 'sams'}, reload the page and choose it "
            "in the input sam, or connect a mask"
        )
    return Path(found)


def insightface_folders() -> list[Path]:
    """The folders that insightface's model packs may be in, as <folder>/models/<pack>; the host's own first."""
    others = folder_paths.folder_names_and_paths.get("insightface", ([],))[0]
    return list(dict.fromkeys([_models() / "insightface", *(Path(place) for place in others)]))


def _models() -> Path:
    return Path(folder_paths.models_dir)
