"""Make a real video on this machine: an embedded sample, the embedded nano model, no download, no GPU.

Prints where the video and the contact sheet are, and how well everyone's things stayed with their owner.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--sample", default="two_people", help="name of an embedded sample (default: two_people)")
    parser.add_argument("--out", type=Path, default=Path("outputs/demo"), help="folder for the files")
    parser.add_argument("--seed", type=int, default=0)


def run(options: argparse.Namespace) -> int:
    """Generate, score and report."""
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.errors import InputError
    from lumosx_core.files.videos import read_video
    from lumosx_core.puppets.samples import SAMPLES_FOLDER, read_truth
    from lumosx_core.puppets.scorer import score_clip
    from lumosx_core.sample_folder import read_sample
    from lumosx_core.sampling.generate import generate
    from lumosx_core.sampling.pipeline import load_pipeline

    folder = SAMPLES_FOLDER / options.sample
    names = sorted(path.name for path in SAMPLES_FOLDER.iterdir() if path.is_dir())
    if options.sample not in names:
        raise InputError(f"no embedded sample {options.sample!r}; there are {', '.join(names)}")
    sample = read_sample(folder)
    print(f"prompt         {sample.prompt}")
    pipeline = load_pipeline()
    with ProgressBars() as progress:
        files = generate(
            pipeline,
            sample,
            pipeline.defaults.config,
            options.out,
            seeds=(options.seed,),
            name=options.sample,
            progress=progress,
        )[0]
    step = pipeline.defaults.enlarge
    frames, _ = read_video(files.video)
    score = score_clip(frames[:, step // 2 :: step, step // 2 :: step], read_truth(folder))
    outcomes = [attribute.outcome for attribute in score.attributes if attribute.outcome != "hidden"]
    print(f"video          {files.video}")
    print(f"contact sheet  {files.contact_sheet}")
    print(f"relations      {options.out / f'{options.sample}_relations.png'}")
    print(
        f"binding score  {outcomes.count('bound')} of {len(outcomes)} attributes on the right person, "
        f"{sum(score.identities)} of {len(score.identities)} people recognised"
    )
    for attribute in score.attributes:
        name = sample.references.subjects[attribute.subject].name
        print(f"               {attribute.kind} of subject {attribute.subject + 1} ({name}): {attribute.outcome}")
    return 0
