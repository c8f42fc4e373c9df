"""Measure a model on the puppet benchmark: held-out people and clothes, half of them with the same words for everyone.

Finished cases are kept: the same command goes on after an interruption. `eyes` measures the puppet analyser instead, on
pictures of one to three held-out people, and with --through-nano what becomes of what was found: do people and things out of a
photograph bind as those of pictures that were made for the model? `reader` measures a reader of captions on hand-written ones,
`collection` how often `lumosx collect` is wrong, on puppet clips as mp4, without and with faults planted into their captions.
`suite` writes a folder of cases of 1 to 4 people with 1 to 3 things, in three wordings, with a manifest of digests.
"""

import argparse
from pathlib import Path

from lumosx_core.cli.sampling_options import add_sampling_arguments, chosen_changes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("benchmark", choices=("puppets", "eyes", "reader", "collection", "suite"))
    parser.add_argument("--model", type=Path, help="model folder, or of eyes a weight file (default: the embedded one)")
    parser.add_argument("--out", type=Path, default=Path("outputs/evaluate"), help="folder of results, report, sheet")
    parser.add_argument("--count", type=int, default=200, help="cases (default: 200; the plain half runs twice)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, help="processes (default: one per core)")
    eyes = parser.add_argument_group("of eyes")
    eyes.add_argument("--through-nano", type=int, metavar="N", help="N cases as videos of nano, with found and given pictures")
    eyes.add_argument("--photographs", type=int, default=1, help="of every person of --through-nano (default: 1)")
    suite = parser.add_argument_group("of suite")
    suite.add_argument("--people", type=int, default=2, help="1 to 4, four on a wider frame (default: 2)")
    suite.add_argument("--things", type=int, default=2, help="of each, 1 to 3 (default: 2)")
    reader = parser.add_argument_group("of reader")
    reader.add_argument(
        "--captions", type=Path, nargs="+", metavar="FILE", help="JSON Lines (default: the embedded 60 + 60 + 233)"
    )
    reader.add_argument("--server", metavar="URL", help="measure a model behind this server instead of the rules")
    reader.add_argument("--served", metavar="MODEL", default="", help="the model's name on that server")
    reader.add_argument("--faults", action="store_true", help="print the captions that are not read right")
    reader.add_argument("--fuzz", type=int, default=0, metavar="N", help="also read N broken captions and count exceptions")
    reader.add_argument("--speed", action="store_true", help="also time 5,000 words")
    add_sampling_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Generate, score, report."""
    eyes = _run_eyes if options.through_nano is None else _run_through_nano
    benchmarks = {
        "puppets": _run_puppets,
        "eyes": eyes,
        "reader": _run_reader,
        "collection": _run_collection,
        "suite": _run_suite,
    }
    return benchmarks[options.benchmark](options)


def _run_suite(options: argparse.Namespace) -> int:
    from lumosx_core.evaluation.suites import read_suite, write_puppet_suite

    write_puppet_suite(options.out, people=options.people, things=options.things, count=options.count, seed=options.seed)
    suite = read_suite(options.out)
    print(f"suite          {options.out}: {len(suite.cases)} cases of {suite.people} people with {suite.things} things each")
    print(f"videos         {suite.width} x {suite.height}, {suite.frames} frames")
    return 0


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
                out / name, PUPPETS, tokenizer, count=options.count, seed=options.seed, exchange=exchange,
                workers=options.workers, progress=progress,
            )  # fmt: skip
        print(f"{name.replace('_', ' ')}: {report.text}")
        print("".join(f"worst: {clip}: {what}\n" for clip, what in report.worst))
        write_json(out / f"{name}.json", asdict(report), "the report")
        print(f"page           {out / name / 'dataset' / 'page.html'}")
    return 0


def _run_reader(options: argparse.Namespace) -> int:
    from lumosx_core.data.relations.rules import read_rules
    from lumosx_core.data.relations.server_reader import ServerReader
    from lumosx_core.data.relations.server_transport import ServerSettings
    from lumosx_core.evaluation.captions import FOLDER, read_cases
    from lumosx_core.evaluation.reader import SPEED_WORDS, evaluate_reader, format_report, fuzz_reader, measure_speed
    from lumosx_core.files.atomic import writable_folder
    from lumosx_core.files.json import write_json

    out = writable_folder(options.out)
    found: dict[str, object] = {}
    captions: list[str] = []
    read = read_rules
    if options.server:
        server = ServerReader(ServerSettings(url=options.server, model=options.served, seed=options.seed))
        print(f"the server keeps to: {server.start()}")
        read = server.read_words
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
    from dataclasses import asdict

    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.evaluation.eyes import evaluate_eyes, photograph_specs
    from lumosx_core.files.atomic import writable_folder
    from lumosx_core.files.json import write_json
    from lumosx_core.puppets.analyser import PuppetAnalyser
    from lumosx_core.puppets.analyser_network import WEIGHTS, load_network

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
    from lumosx_core.evaluation.found_subjects import WAYS, evaluate_found
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
            photographs=options.photographs,
            seed=options.seed,
            workers=options.workers,
            changes=chosen_changes(options),
            progress=progress,
        )
    print(f"{report['cases']} cases, {report['photographs']} photographs of a person, {report['not found']} things not found")
    for what, rows in report["rates"].items():
        told = "  ".join(f"{way} {rows[way]['text']}" for way in (*WAYS, "difference") if way in rows)
        print(f"{what:28}{rows['asked']:5.0f}  {told}")
    print(f"report         {options.out / 'report.json'}\ncontact sheet  {options.out / 'sheet.png'}")
    return 0


def _run_puppets(options: argparse.Namespace) -> int:
    from lumosx_core.cli.progress import ProgressBars
    from lumosx_core.errors import InputError
    from lumosx_core.evaluation.evaluate import evaluate_puppets
    from lumosx_core.files.atomic import writable_folder
    from lumosx_core.numbers import whole_number
    from lumosx_core.sampling.pipeline import NANO_FOLDER

    whole_number(options.count, "count", least=2)
    model = options.model or NANO_FOLDER
    if not (model / "transformer.safetensors").is_file():
        raise InputError(f"{model} is no model folder: it has no transformer.safetensors")
    with ProgressBars() as progress:
        report = evaluate_puppets(
            model,
            writable_folder(options.out),
            count=options.count,
            seed=options.seed,
            workers=options.workers,
            changes=chosen_changes(options),
            progress=progress,
        )
    print(f"{'':22}{'cases':>7}{'binding':>10}{'swapped':>10}{'wrong':>10}{'hidden':>8}{'identity':>10}")
    for name, row in report.items():
        if name != "settings":
            rates = "".join(f"{row[key]:10.1%}" for key in ("binding", "swap", "wrong"))
            print(f"{name:22}{row['cases']:7}{rates}{row['hidden']:8}{row['identity']:10.1%}")
    whole = report["described and plain"]
    told = [f"{key} {100 * low:.1f} to {100 * high:.1f} %" for key, (low, high) in whole["intervals"].items()]
    print(f"95 % intervals of described and plain, drawn over cases: {', '.join(told)}")
    print(f"report         {options.out / 'report.json'}\ncontact sheet  {options.out / 'sheet.png'}")
    return 0
