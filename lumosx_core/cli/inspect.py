"""Print and draw what a sample folder means to the model: who owns which words, the token layout, both masks.

Nothing is generated, and phrases that do not fit the prompt are reported instead of stopping. It counts as `generate` with the
same --model does: without one, with the tokenizer and the sizes of the embedded nano model.
"""

import argparse
from pathlib import Path

MAX_TEXT_LEN = 8192  # tokens; what is drawn and counted stays within a second


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("sample", type=Path, metavar="SAMPLE", help="the sample folder")
    parser.add_argument("--out", type=Path, default=Path("outputs/inspect"), help="folder for the pictures")
    parser.add_argument("--model", type=Path, help="model folder whose sizes and tokenizer count (default: the embedded nano)")
    parser.add_argument("--tokenizer", type=Path, help="spiece.model or tokenizer.json, instead of the model's")
    parser.add_argument("--width", type=int, help="of the video, pixels (default: the model's)")
    parser.add_argument("--height", type=int)
    parser.add_argument("--frames", type=int, help="of the video, 4n + 1")
    parser.add_argument("--text-len", type=int, help="tokens that the model reads, with the end token (default: the model's)")


def run(options: argparse.Namespace) -> int:
    """Print the relations and write two pictures."""
    from dataclasses import replace

    from lumosx_core.sample_folder import read_sample

    sample = read_sample(options.sample)  # before torch is imported: a folder that is none is told at once

    from lumosx_core.drawing.masks import draw_masks
    from lumosx_core.drawing.relation_graph import draw_relation_graph
    from lumosx_core.files.atomic import writable_folder
    from lumosx_core.files.images import save_image
    from lumosx_core.model.token_layout import TokenLayout, text_levels
    from lumosx_core.numbers import whole_number
    from lumosx_core.sampling.pipeline import NANO_FOLDER, LumosXPipeline
    from lumosx_core.text_spans import bind_prompt
    from lumosx_core.tokenizers import load_tokenizer

    model = LumosXPipeline(options.model or NANO_FOLDER, resident=False)  # no weights are read
    given = {name: value for name in ("width", "height", "frames") if (value := getattr(options, name)) is not None}
    size = replace(model.defaults.size, **given)  # checks the numbers
    text_len = model.sizes.text_len
    if options.text_len is not None:
        text_len = whole_number(options.text_len, "--text-len", least=2, most=MAX_TEXT_LEN)
    tokenizer = load_tokenizer(options.tokenizer) if options.tokenizer else model.tokenizer
    bound = bind_prompt(sample.prompt, sample.references, tokenizer, text_len=text_len, on_problem="ignore")
    source = f"the model {options.model}" if options.model else "the embedded nano model (--model FOLDER for another)"
    print(f"counted with {source}: tokenizer {options.tokenizer or 'of the model'}, {text_len - 1} tokens of text are read,")
    print(f"             {size.frames} frames of {size.width} x {size.height} pixels")
    print(f"sample id: {sample.sample_id or 'none'}")
    layout = TokenLayout.for_references(size.grid, bound.references)
    print(f"prompt ({len(bound.token_ids)} tokens): {bound.prompt}")
    for reference, spans in zip(bound.references, bound.char_spans, strict=True):
        owner = "" if reference.subject is None else f" of subject {reference.subject + 1}"
        words = ", ".join(f"{bound.prompt[a:b].strip()!r} at {a}" for a, b in spans) or "no words of the prompt"
        strength = "" if reference.strength == 1 else f", strength {reference.strength:g}"
        print(f"  {reference.kind}{owner} {reference.phrase!r}{strength}: {words}")
    print(
        f"layout: {layout.frames} frames x {layout.height} x {layout.width} tokens, {len(layout.kinds)} references, "
        f"{layout.seq_len} tokens in {1 + len(layout.groups)} blocks of self-attention"
    )
    for problem in bound.problems:
        print(f"{'problem' if problem.is_error else 'note'}: {problem.message}")
    out = writable_folder(options.out)
    name = options.sample.resolve().name
    graph = save_image(draw_relation_graph(sample.references, bound), out / f"{name}_relations.png")
    levels = text_levels(bound.references, text_len)
    masks = save_image(draw_masks(sample.references, bound, layout, levels, tokenizer), out / f"{name}_masks.png")
    print(f"relations      {graph}\nmasks          {masks}")
    return 0
