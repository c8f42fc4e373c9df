"""Time and memory of relational attention, side by side with plain Wan on as many tokens and the video without references.

attention: self- and cross-attention alone, also with a dense mask.  block: one transformer block.  subjects: one with twice
the subjects, against what these add.  forward: the whole model
once.  sampling: a guided sampling.  startup: commands in fresh processes.  memory: the peak of a forward at the true size,
counted without weights or a GPU.  Variants take turns in every round; told are medians and quartiles of the ratio to "plain".
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumosx_core.cli.startup_time import startup_times

if TYPE_CHECKING:
    from lumosx_core.checks.speed_case import SpeedCase
    from lumosx_core.progress import Progress

WHAT = ("attention", "block", "subjects", "forward", "sampling", "startup", "memory")
# What --sweep varies, with the values where none are given; those of attention are the backends that run.
SWEEPS: dict[str, tuple[str, ...]] = {
    "references": ("0", "1", "2", "4", "6", "9", "12", "16"), "frames": ("1", "6", "11", "16", "21"),
    "size": ("15x26", "30x52", "45x80"), "batch": ("1", "2", "4"), "dtype": ("fp32", "bf16", "fp16"), "attention": (),
}  # fmt: skip
Point = tuple[str, dict[str, Any], dict[str, Any]]  # what was varied, the case and the machine, the tables
FFN_WIDTHS = 35 / 6  # width of the feed-forward against that of the hidden state in the 1.3B model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command; the defaults are 81 frames at 416 x 240 with nine references."""
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("--frames", type=int, default=21, help="latent frames (default: 21 = 81 frames)")
    parser.add_argument("--grid", help="token rows x columns of a frame (default: 15x26; memory: 30x52)")
    parser.add_argument("--single", type=int, default=3, help="background and objects (default: 3)")
    parser.add_argument("--groups", type=int, nargs="*", default=[3, 3], help="images of each subject (default: 3 3)")
    parser.add_argument("--preset", help="sizes of a known model instead of those below (memory: t2v_1_3b)")
    parser.add_argument("--heads", type=int, default=2)
    parser.add_argument("--head-dim", type=int, default=128)
    parser.add_argument("--layers", type=int, default=2, help="blocks of the model (forward, sampling; default: 2)")
    parser.add_argument("--text-len", type=int, default=512)
    parser.add_argument("--batch", type=int, default=1, help="videos side by side (default: 1)")
    parser.add_argument("--steps", type=int, default=4, help="of a sampling (default: 4)")
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--dtype", choices=("fp32", "bf16", "fp16"), help="of weights and tensors (default: fp32; memory: bf16)"
    )
    parser.add_argument("--attention", default="sdpa", help="backend: auto, sdpa, sage or flash")
    parser.add_argument(
        "--flex", action="store_true", help="torch's flex_attention too; compiles for a minute (attention, block)"
    )
    parser.add_argument(
        "--sweep",
        nargs="+",
        metavar=("NAME", "VALUE"),
        help=f"measure at several values of {', '.join(SWEEPS)}; without values at usual ones",
    )
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="startup: compare with another checkout")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--chart", type=Path, help="draw them into this PNG file")


def run(options: argparse.Namespace) -> int:
    """Measure, print, write."""
    from lumosx_core.checks.speed_case import machine
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.drawing.ratio_chart import draw_ratios
    from lumosx_core.files.atomic import writable_file
    from lumosx_core.files.images import save_image
    from lumosx_core.files.json import write_json

    _check(options)
    for path in (options.json, options.chart):
        if path is not None:
            writable_file(path)
    points: list[Point] = []
    with ProgressBars() as progress:
        about = {"what": options.what, "repeats": options.repeats}
        if options.what == "startup":
            points.append(("", about | machine("cpu"), startup_times(options.repeats, options.against, progress)))
        else:
            for label, case in _cases(options):
                points.append((label, about | case.described(), _measure(options, case, progress)))
    for label, told, tables in points:
        if label:
            print(f"-- {options.sweep[0]} {label}")
        _print(told, tables)
    if options.json is not None:
        flat = [{**({"value": label} if label else {}), **told, **tables} for label, told, tables in points]
        write_json(options.json, {"sweep": options.sweep[0], "points": flat} if options.sweep else flat[0])
        print(f"wrote {options.json}")
    if options.chart is not None:
        figure = {"memory": "peak_gib", "startup": "ratio" if options.against else "seconds"}.get(options.what, "ratio")
        note = f"{figure.replace('_', ' ')}; {_heading(points[0][1])}, {points[0][1]['date']}"
        drawn = [(label, tables) for label, _, tables in points]
        over = f" over {options.sweep[0]}" if options.sweep else ""
        save_image(draw_ratios(f"lumosx bench {options.what}{over}", note, drawn, figure), options.chart)
        print(f"wrote {options.chart}")
    return 0


def _check(options: argparse.Namespace) -> None:
    from lumosx_core.errors import InputError
    from lumosx_core.model.devices import check_device
    from lumosx_core.numbers import whole_number

    for name, least, most in (
        ("frames", 1, 1024), ("heads", 1, 1000), ("head_dim", 1, 4096), ("layers", 1, 1000), ("text_len", 1, 100_000),
        ("batch", 1, 1024), ("steps", 2, 1000), ("repeats", 1, 10_000),
    ):  # fmt: skip
        whole_number(getattr(options, name), name.replace("_", "-"), least=least, most=most)
    if options.sweep and (options.sweep[0] not in SWEEPS or options.what == "startup"):
        raise InputError(f"sweep over {options.sweep[0]!r}, expected one of {', '.join(SWEEPS)} (and nothing for startup)")
    if options.against is not None and options.what != "startup":
        raise InputError(f"--against compares starts; `lumosx bench {options.what}` has plain Wan beside it already")
    check_device(options.device)


def _cases(options: argparse.Namespace) -> list[tuple[str, "SpeedCase"]]:
    """Every point with its label: one, or those of the sweep. Raises InputError for values that are none."""
    from lumosx_core.model.attention_backends import BACKENDS, why_unavailable
    from lumosx_core.model.devices import weights_type

    if not options.sweep:
        return [("", _case(options, {}))]
    name, values = options.sweep[0], options.sweep[1:] or list(SWEEPS[options.sweep[0]])
    if not values:
        dtype = weights_type(options.dtype or "fp32")
        known = [backend for backend in BACKENDS if backend != "auto"]
        values = [backend for backend in known if why_unavailable(backend, options.device, dtype, options.head_dim) is None]
    return [(value, _case(options, {name: value})) for value in values]


def _case(options: argparse.Namespace, changed: dict[str, str]) -> "SpeedCase":
    """The case of the options with one of them changed."""
    import re

    from lumosx_core.checks.speed_case import SpeedCase, layout_with, shared_out
    from lumosx_core.errors import InputError
    from lumosx_core.model.attention_backends import select_attention
    from lumosx_core.model.config import PRESETS, TransformerConfig
    from lumosx_core.model.devices import weights_type

    def number(name: str, most: int) -> int:
        text = changed.get(name)
        if text is None:
            return getattr(options, name)
        if not re.fullmatch("[0-9]{1,6}", text) or int(text) > most or (int(text) == 0 and name != "references"):
            raise InputError(f"{name} {text[:40]!r} of the sweep, expected a whole number up to {most}")
        return int(text)

    memory = options.what == "memory"
    grid = changed.get("size") or options.grid or ("30x52" if memory else "15x26")
    if not re.fullmatch("[0-9]{1,4}x[0-9]{1,4}", grid):
        raise InputError(f"grid is {grid[:40]!r}, expected rows x columns such as 15x26")
    height, width = (int(part) for part in grid.split("x"))
    single, groups = (
        shared_out(number("references", 1000)) if "references" in changed else (options.single, list(options.groups))
    )
    layout = layout_with(number("frames", 1024), height, width, single=single, groups=groups)
    preset = options.preset or ("t2v_1_3b" if memory else None)
    if preset is not None and preset not in PRESETS:
        raise InputError(f"preset {preset!r}, expected one of {', '.join(PRESETS)}")
    dim = options.heads * options.head_dim
    config = (
        PRESETS[preset]
        if preset
        else TransformerConfig(
            dim=dim,
            num_heads=options.heads,
            num_layers=options.layers,
            ffn_dim=round(FFN_WIDTHS * dim),
            text_dim=dim,
            text_len=options.text_len,
        )
    )
    dtype = weights_type(changed.get("dtype") or options.dtype or ("bf16" if memory else "fp32"))
    backend = select_attention(changed.get("attention", options.attention), options.device, dtype, config.head_dim)
    return SpeedCase(
        layout=layout, config=config, backend=backend, dtype=dtype, device=options.device, batch=number("batch", 1024)
    )


def _measure(options: argparse.Namespace, case: "SpeedCase", progress: "Progress") -> dict[str, Any]:
    from lumosx_core.checks.attention_speed import attention_variants
    from lumosx_core.checks.memory_count import forward_memory
    from lumosx_core.checks.model_speed import (
        block_variants,
        forward_variants,
        sampling_variants,
        subject_variants,
        with_added,
    )
    from lumosx_core.checks.turns import take_turns

    if options.what == "memory":
        return forward_memory(case)
    if options.what == "attention":
        variants = attention_variants(case, flex=options.flex)
    elif options.what == "block":
        variants = block_variants(case, flex=options.flex)
    elif options.what == "subjects":
        timed = take_turns(subject_variants(case), repeats=options.repeats, device=options.device, progress=progress)
        return {name: with_added(table) for name, table in timed.items()}
    elif options.what == "forward":
        variants = forward_variants(case)
    else:
        variants = sampling_variants(case, steps=options.steps)
    return take_turns(variants, repeats=options.repeats, device=options.device, progress=progress)


def _heading(report: dict[str, Any]) -> str:
    where = f"{report['device']}, torch {report['torch']}"
    if "tokens" not in report:
        return where
    return (
        f"{report['tokens']} tokens, {report['references']} references, {report['heads']} heads of {report['head_dim']}, "
        f"{report['dtype']}, {report['backend']} on {where}"
    )


def _print(told: dict[str, Any], tables: dict[str, Any]) -> None:
    """The tables of one point."""
    print(_heading(told))
    for name, table in tables.items():
        for place, (variant, row) in enumerate(table.items()):
            if not place:
                print(f"{name:20}" + "".join(f"{key.replace('_', ' '):>14}" for key in row))
            print(f"  {variant:18}" + "".join(f"{value:14.4f}" for value in row.values()))
