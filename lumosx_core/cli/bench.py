"""Time relational self- and cross-attention side by side with plain unmasked attention and with a dense mask.

All variants see the same tokens and take turns; the ratios are medians of one run. On a GPU peak memory is reported too.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command; the defaults are 81 frames at 416 x 240 with nine references."""
    parser.add_argument("what", choices=("attention",))
    parser.add_argument("--frames", type=int, default=21, help="latent frames (default: 21 = 81 frames)")
    parser.add_argument("--grid", default="15x26", help="token rows x columns of a frame (default: 15x26)")
    parser.add_argument("--single", type=int, default=3, help="background and objects (default: 3)")
    parser.add_argument("--groups", type=int, nargs="*", default=[3, 3], help="images of each subject (default: 3 3)")
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--head-dim", type=int, default=128)
    parser.add_argument("--text-len", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="fp32", choices=("fp32", "bf16", "fp16"))
    parser.add_argument("--attention", default="sdpa", help="backend: auto, sdpa, sage or flash")
    parser.add_argument("--json", type=Path, help="write the figures to this file")


def run(options: argparse.Namespace) -> int:
    """Measure and print."""
    import re

    from lumosx_core.checks.attention_speed import measure_attention
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.errors import InputError
    from lumosx_core.files.atomic import writable_file
    from lumosx_core.files.json import write_json
    from lumosx_core.model.attention_backends import select_attention
    from lumosx_core.model.devices import check_device, weights_type
    from lumosx_core.model.token_layout import TokenLayout
    from lumosx_core.numbers import whole_number
    from lumosx_core.references import ReferenceKind

    if not re.fullmatch("[0-9]{1,4}x[0-9]{1,4}", options.grid):
        raise InputError(f"grid is {options.grid[:40]!r}, expected rows x columns such as 15x26")
    height, width = (int(part) for part in options.grid.split("x"))
    for name, least, most in (
        ("frames", 1, 1024), ("single", 0, 1000), ("heads", 1, 1000), ("head_dim", 1, 4096), ("text_len", 1, 100_000),
        ("repeats", 1, 10_000),
    ):  # fmt: skip
        whole_number(getattr(options, name), name.replace("_", "-"), least=least, most=most)
    for images in options.groups:
        whole_number(images, "groups", least=0, most=1000)
    if options.json is not None:
        writable_file(options.json)
    check_device(options.device)
    dtype = weights_type(options.dtype)
    backend = select_attention(options.attention, options.device, dtype, options.head_dim)
    singles: tuple[ReferenceKind, ...] = ("background", *("object",) * (options.single - 1))
    kinds = list(singles[: options.single])
    subjects: list[int | None] = [None] * options.single
    for number, images in enumerate(options.groups):
        group: tuple[ReferenceKind, ...] = ("face", *("attribute",) * (images - 1))
        kinds += group[:images]
        subjects += [number] * images
    layout = TokenLayout(options.frames, height, width, kinds=tuple(kinds), subjects=tuple(subjects))
    with ProgressBars() as progress:
        report = measure_attention(
            layout,
            heads=options.heads,
            head_dim=options.head_dim,
            text_len=options.text_len,
            backend=backend,
            device=options.device,
            dtype=dtype,
            repeats=options.repeats,
            progress=progress,
        )
    print(
        f"{report['tokens']} tokens, {report['references']} references, {options.heads} heads of {options.head_dim}, "
        f"{options.dtype}, {backend.name} on {report['device']}, torch {report['torch']}"
    )
    for kind in ("self", "cross"):
        print(f"{kind}-attention{'':8}{'seconds':>10}{'of plain':>10}" + (f"{'peak MiB':>10}" if report["memory"] else ""))
        for name, row in report[kind].items():
            memory = f"{row['peak_mib']:10.0f}" if report["memory"] else ""
            print(f"  {name:20}{row['seconds']:10.4f}{row['ratio']:10.2f}{memory}")
    if options.json is not None:
        write_json(options.json, report)
        print(f"wrote {options.json}")
    return 0
