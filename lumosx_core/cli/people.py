"""Make a person's reference pictures out of photographs: find the person, crop the face, cut out the things named by words.

OUT becomes the sub-folder of a sample, such as my_video/subjects/1. Models are looked for in a folder and never downloaded;
`--eyes puppets` needs none and sees the embedded puppet world alone. `lumosx doctor` lists the models that are there.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lumosx_core.detection.person import Eyes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("photographs", nargs="+", type=Path, metavar="PHOTO", help="one photograph or several of one person")
    parser.add_argument("--name", required=True, help="the words for the person in the prompt, such as man")
    parser.add_argument("--attributes", nargs="*", default=[], metavar="PHRASE", help='things, such as "red jacket" glasses')
    parser.add_argument("--out", type=Path, required=True, help="folder to write, such as my_video/subjects/1")
    parser.add_argument("--overwrite", action="store_true", help="replace a folder of pictures that is there")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--number", type=int, help="of several people the one with this number from the left, from 1 on")
    group.add_argument("--point", metavar="X,Y", help="the one at this point, in pixels (default: the largest)")
    parser.add_argument("--eyes", default="models/eyes", metavar="FOLDER", help="folder of models, or puppets")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for the models")
    parser.add_argument("--sheet", type=Path, help="picture of what was found (default: outputs/people/NAME.png)")


def run(options: argparse.Namespace) -> int:
    """Find, cut out, write; status 1 if something was not found."""
    from lumosx_core.detection.boxes import parse_points
    from lumosx_core.detection.person import Which, find_subject
    from lumosx_core.drawing.person_sheet import person_sheet
    from lumosx_core.errors import InputError
    from lumosx_core.files.atomic import writable_folder
    from lumosx_core.files.images import open_image, save_image
    from lumosx_core.files.names import free_stem
    from lumosx_core.sample_folder import write_subject

    which = Which()
    if options.number is not None:
        which = Which(choice="left to right", index=options.number)
    if options.point is not None:
        points = parse_points(options.point)
        if len(points) != 1:
            raise InputError(f"--point gives {len(points)} points, expected one, such as 120,80")
        which = Which(choice="at point", point=points[0])
    pictures = [open_image(path) for path in options.photographs]
    eyes = chosen_eyes(options.eyes, options.device)
    found = find_subject(pictures, options.name, options.attributes, eyes, which=which)
    print(found.text)
    folder = write_subject(options.out, found.subject, overwrite=options.overwrite)
    photographs = [(view.picture, found.marks(number)) for number, view in enumerate(found.views)]
    sheet = person_sheet(photographs, found.subject, found.text)
    target = options.sheet or Path("outputs/people") / f"{free_stem(options.name, set())}.png"
    writable_folder(target.parent)
    print(f"pictures       {folder}\nsheet          {save_image(sheet, target)}")
    return 1 if found.missing or found.subject.face is None else 0


def chosen_eyes(where: str, device: str) -> "Eyes":
    """The finders of `--eyes`. Raises InputError for a folder without models."""
    from lumosx_core.detection.person import Eyes
    from lumosx_core.detection.real_eyes import real_eyes
    from lumosx_core.errors import InputError
    from lumosx_core.puppets.analyser import PuppetAnalyser
    from lumosx_core.sampling.pipeline import check_device

    check_device(device)
    if where == "puppets":
        analyser = PuppetAnalyser()
        return Eyes(people=analyser, faces=analyser, phrases=analyser, masks=analyser)
    try:
        return real_eyes(Path(where), device=device)
    except InputError as error:
        raise InputError(f"{error}. For pictures of the puppet world: --eyes puppets") from error
