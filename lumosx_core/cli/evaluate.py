"""Measure a model, or the parts of the pack that see and read.

A model in three commands: `suite` writes cases with a manifest of digests, `generate` makes a run of their videos (or takes
those that another model made), `score` judges them and reports; `compare` sets runs side by side. `puppets` does the first
three at once for two people with two things each. What is done is kept: the same command goes on after an interruption.
"""

import argparse
from pathlib import Path

from lumosx_core.cli.evaluate_runs import RUN_COMMANDS, add_run_commands, print_report
from lumosx_core.cli.sampling_options import add_sampling_arguments, chosen_changes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    add_run_commands(what)
    puppets = what.add_parser("puppets", help="suite, generate, score and report at once: two people with two things each")
    _add_common(puppets, "model folder (default: the embedded one)", "cases (default: 200; the plain half runs twice)")
    add_sampling_arguments(puppets)
    eyes = what.add_parser("eyes", help="the puppet analyser on pictures of one to three held-out people")
    _add_common(eyes, "weight file (default: the embedded one)", "pictures (default: 200)")
    eyes.add_argument(
        "--through-nano",
        type=int,
        metavar="N",
        help="instead N cases as videos of nano: do people found in photographs bind as those cut out exactly, and given?",
    )
    eyes.add_argument("--photographs", type=int, help="of every person of --through-nano (default: 1)")
    add_sampling_arguments(eyes)
    collection = what.add_parser("collection", help="how often `lumosx collect` is wrong, without and with planted faults")
    _add_common(collection, "", "clips (default: 200)")
    reader = what.add_parser("reader", help="a reader of captions on hand-written ones")
    reader.add_argument("--out", type=Path, default=Path("outputs/evaluate"), help="folder of the report")
    reader.add_argument("--seed", type=int, default=0)
    reader.add_argument(
        "--captions", type=Path, nargs="+", metavar="FILE", help="JSON Lines (default: the embedded 60 + 60 + 233)"
    )
    reader.add_argument("--server", metavar="URL", help="measure a model behind this server instead of the rules")
    reader.add_argument("--local", type=Path, metavar="FOLDER", help="measure a model of transformers in this process instead")
    reader.add_argument("--served", metavar="MODEL", help="the model's name on that server")
    reader.add_argument("--faults", action="store_true", help="print the captions that are not read right")
    reader.add_argument("--fuzz", type=int, default=0, metavar="N", help="also read N broken captions and count exceptions")
    reader.add_argument("--speed", action="store_true", help="also time 5,000 words")


def _add_common(parser: argparse.ArgumentParser, model: str, count: str) -> None:
    if model:
        parser.add_argument("--model", type=Path, help=model)
    parser.add_argument("--out", type=Path, default=Path("outputs/evaluate"), help="folder of results, report, sheet")
    parser.add_argument("--count", type=int, default=200, help=count)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, help="processes (default: one per core)")


def run(options: argparse.Namespace) -> int:
    """Generate, score, report."""
    commands = {
        **RUN_COMMANDS,
        "puppets": _run_puppets,
        "eyes": _run_eyes,
        "reader": _run_reader,
        "collection": _run_collection,
    }
    return commands[options.what](options)


def _run_collection(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.data.collect_config import PUPPETS
    from lumosx_core.evaluation.collection import evaluate_collection
    from lumosx_core.files.atomic import writable_folder
    from lumosx_core.files.json import write_json
    from lumosx_core.sampling.pipeline import NANO_FOLDER
    from lumosx_core.tokenizers import load_tokenizer

    out = writable_folder(options.out)
    tokenizer = load_tokenizer(NANO_FOLDER)
    for name, exchange in (("collection", False), ("planted_faults", True)):
        with ProgressBars() as progress:
            report = evaluate_collection(
                out / name,
                PUPPETS,
                tokenizer,
                count=options.count,
                seed=options.seed,
                exchange=exchange,
                workers=options.workers,
                progress=progress,
            )
        print(f"{name.replace('_', ' ')}: {report.text}")
        print("".join(f"worst: {clip}: {what}\n" for clip, what in report.worst))
        write_json(out / f"{name}.json", asdict(report), "the report")
        print(f"page           {out / name / 'dataset' / 'page.html'}")
    return 0


def _run_reader(options: argparse.Namespace) -> int:
    from lumosx_core.data.relations.local_model import LocalModel
    from lumosx_core.data.relations.model_reader import ModelReader
    from lumosx_core.data.relations.rules import read_rules
    from lumosx_core.data.relations.server_transport import ServerSettings, Transport
    from lumosx_core.errors import InputError
    from lumosx_core.evaluation.captions import FOLDER, read_cases
    from lumosx_core.evaluation.reader import SPEED_WORDS, evaluate_reader, format_report, fuzz_reader, measure_speed
    from lumosx_core.files.atomic import writable_folder
    from lumosx_core.files.json import write_json

    if options.local is not None and options.server:
        raise InputError("--local and --server are two models; leave one of them out")
    if options.served is not None and not options.server:
        raise InputError("--served names a model of --server; add that, or leave it out")
    out = writable_folder(options.out)
    found: dict[str, object] = {}
    captions: list[str] = []
    read = read_rules
    if options.server:
        server = Transport(ServerSettings(url=options.server, model=options.served or "", seed=options.seed))
        print(f"the server keeps to: {server.start()}")
        read = ModelReader(server).read_words
    if options.local is not None:
        read = ModelReader(LocalModel(options.local, seed=options.seed)).read_words
    for path in options.captions or [FOLDER / f"{name}.jsonl" for name in ("seen", "mending", "unseen")]:
        cases = read_cases(path)
        captions += [case.truth.caption for case in cases]
        report = evaluate_reader(read, cases)
        found[path.name] = report.as_json()
        print(f"{path.name}\n\n{format_report(report)}\n")
        for rate, (low, high) in report.intervals.items():
            print(f"95 % interval of the relations' {rate}: {100 * low:.1f} to {100 * high:.1f} %")
        print(f"captions without any fault in their relations: {report.captions - len(report.faults)} of {report.captions}\n")
        for caption in report.faults if options.faults else ():
            print(f"not right: {caption}")
    if options.speed:
        whole, single = measure_speed(read, captions)
        found["seconds for 5,000 words"] = {"as one text": whole, "as captions": single}
        print(f"{SPEED_WORDS} words: {whole:.2f} s as one text, {single:.2f} s as single captions")
    failed = fuzz_reader(read, captions, options.fuzz, options.seed) if options.fuzz else []
    if options.fuzz:
        found["fuzzed"] = {"captions": options.fuzz, "exceptions": len(failed)}
        print(f"{options.fuzz} broken captions: {len(failed)} exceptions")
        for text, error in failed[:10]:
            print(f"{error} on {text!r}")
    print(f"report         {write_json(out / 'reader.json', found)}")
    return 1 if failed else 0


def _run_eyes(options: argparse.Namespace) -> int:
    if options.through_nano is not None:
        return _run_through_nano(options)
    from dataclasses import asdict

    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.errors import InputError
    from lumosx_core.evaluation.eyes import evaluate_eyes, photograph_specs
    from lumosx_core.files.atomic import writable_folder
    from lumosx_core.files.json import write_json
    from lumosx_core.puppets.analyser import PuppetAnalyser
    from lumosx_core.puppets.analyser_network import WEIGHTS, load_network

    if chosen_changes(options) or options.photographs is not None or options.workers is not None:
        raise InputError("--photographs, --workers and the sampling options are of --through-nano; add that, or leave them out")
    out = writable_folder(options.out)
    specs = photograph_specs(options.count, options.seed)
    with ProgressBars() as progress:
        analyser = PuppetAnalyser(load_network(options.model or WEIGHTS))
        report = evaluate_eyes(analyser, specs, done=lambda number: progress("pictures", number, len(specs)))
    print(f"{report.pictures} pictures, {report.faces} people, {report.asked} things of {len(report.by_kind)} kinds")
    shares = {
        "people counted right": report.counted,
        "faces centred within 10 %": report.centred,
        "things with IoU >= 0.85": report.good,
        "things of the right owner": report.owned,
    }
    means = {"people": report.people_iou, "things": report.things_iou, **report.by_kind}
    for words, share in shares.items():
        print(f"{words:30}{share:8.1%}")
    for words, mean in means.items():
        print(f"IoU of {words:23}{mean:8.3f}")
    print(f"report         {write_json(out / 'eyes.json', asdict(report))}")
    return 0


def _run_through_nano(options: argparse.Namespace) -> int:
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.evaluation.found_subjects import COMPARED, WAYS, evaluate_found
    from lumosx_core.files.atomic import writable_folder
    from lumosx_core.puppets.analyser import PuppetAnalyser
    from lumosx_core.puppets.analyser_network import WEIGHTS, load_network
    from lumosx_core.sampling.pipeline import NANO_FOLDER

    with ProgressBars() as progress:
        report = evaluate_found(
            NANO_FOLDER,
            writable_folder(options.out),
            PuppetAnalyser(load_network(options.model or WEIGHTS)),
            count=options.through_nano,
            photographs=1 if options.photographs is None else options.photographs,
            seed=options.seed,
            workers=options.workers,
            changes=chosen_changes(options),
            progress=progress,
        )
    print(f"{report['cases']} cases, {report['photographs']} photographs of a person, {report['not found']} things not found")
    for what, rows in report["rates"].items():
        print(f"{what:28}{rows['asked']:5.0f}  " + "  ".join(f"{way} {rows[way]['text']}" for way in WAYS))
        for pair in (f"{one} - {other}" for one, other in COMPARED):
            print(f"{'':35}{pair} {rows[pair]['text'] if pair in rows else 'not to be told'}")
    print(f"report         {options.out / 'report.json'}\ncontact sheet  {options.out / 'sheet.png'}")
    return 0


def _run_puppets(options: argparse.Namespace) -> int:
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.evaluation.evaluate import evaluate_puppets
    from lumosx_core.files.atomic import writable_folder
    from lumosx_core.numbers import whole_number
    from lumosx_core.sampling.pipeline import NANO_FOLDER

    whole_number(options.count, "count", least=2)
    with ProgressBars() as progress:
        report = evaluate_puppets(
            options.model or NANO_FOLDER,
            writable_folder(options.out),
            count=options.count,
            seed=options.seed,
            workers=options.workers,
            changes=chosen_changes(options),
            progress=progress,
        )
    print_report(options.out, report)
    return 0
