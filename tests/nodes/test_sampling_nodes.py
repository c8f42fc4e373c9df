"""Sampling with the nano model through the nodes: the same video as in the core, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from small_video import CFG, HEIGHT, LENGTH, SEED, SHIFT, STEPS, WIDTH, config, core_latent, host_run, psnr, run

from lumosx_core.errors import InputError
from lumosx_core.puppets.samples import SAMPLES_FOLDER
from lumosx_core.references import Sample
from lumosx_core.sample_folder import read_sample
from lumosx_core.sampling.generate import denoise, prepare
from lumosx_core.sampling.pipeline import LumosXPipeline, load_pipeline
from lumosx_core.strengths import with_strengths

Nano = tuple[Any, Any, Any]  # MODEL, CLIP, VAE

pytestmark = pytest.mark.usefixtures("host_folders")


@pytest.fixture(scope="module")
def nodes(pack: Callable[[str], ModuleType]) -> ModuleType:
    return pack("nodes.sampling_nodes")


@pytest.fixture(scope="module")
def sample() -> Sample:
    return read_sample(SAMPLES_FOLDER / "two_people_described")


@pytest.fixture(scope="module")
def core() -> LumosXPipeline:
    return load_pipeline()


@pytest.fixture(scope="module")
def inputs(pack: Callable[[str], ModuleType], nano: Nano, sample: Sample, core: LumosXPipeline) -> dict[str, Any]:
    """What goes into the sampler: made by the nodes before it."""
    conditioning, types = pack("nodes.conditioning_nodes"), pack("nodes.io_types")
    model, clip, vae = nano
    bound = prepare(core, sample, config()).bound
    graph = types.RelationGraph(references=sample.references, bound=bound, tokenizer=core.text_encoder.tokenizer)
    with torch.no_grad():
        references, latent = conditioning.EncodeReferences.execute(graph, vae, WIDTH, HEIGHT, LENGTH).args
        positive, negative = (clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in (bound.prompt, ""))
    return {
        "model": model,
        "references": references,
        "positive": positive,
        "negative": negative,
        "latent": latent,
        "seed": SEED,
        "steps": STEPS,
        "cfg": CFG,
        "shift": SHIFT,
        "solver": "dpmpp_2m",
    }


def test_sampler_makes_the_video_of_the_core(
    nodes: ModuleType, inputs: dict[str, Any], nano: Nano, core: LumosXPipeline, sample: Sample
) -> None:
    out = run(nodes, inputs)
    expected = inputs["model"].model.process_latent_out(core_latent(core, sample, inputs))
    assert float((out - expected).abs().max()) <= 1e-3
    with torch.no_grad():
        assert psnr(nano[2].decode(out), nano[2].decode(expected)) >= 40


@pytest.mark.parametrize("embedded", [True, False], ids=["statistics_of_the_nano_vae", "statistics_of_wan"])
def test_whole_chain_is_that_of_the_core(
    nodes: ModuleType, inputs: dict[str, Any], core: LumosXPipeline, sample: Sample, embedded: bool
) -> None:
    wan = inputs["model"].model.latent_format
    mean, std = (values.flatten().tolist() for values in (wan.latents_mean, wan.latents_std))
    if not embedded:
        core = load_pipeline()  # of its own, since its statistics are changed
        core.vae.config = replace(core.vae.config, latents_mean=mean, latents_std=std)
    elif core.vae.config.latents_mean != pytest.approx(mean) or core.vae.config.latents_std != pytest.approx(std):
        pytest.skip("NANO VAE HAS STATISTICS OF ITS OWN: the host normalises its latents with Wan2.1's")
    out = inputs["model"].model.process_latent_in(run(nodes, inputs))
    assert float((out - denoise(core, prepare(core, sample, config()), config(), [SEED])).abs().max()) <= 1e-3


@pytest.mark.parametrize(
    "changes",
    [
        {"relational_positions": False},
        {"causal_self_attention_mask": False},
        {"ratio": 0.0},
        {"negative_spans": "none"},
        {"negative_references": "blank"},
        {"solver": "euler"},
        {"pool_layout": "aligned", "ratio": 2.0},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_every_switch_does_what_it_does_in_the_core(
    nodes: ModuleType, inputs: dict[str, Any], core: LumosXPipeline, sample: Sample, changes: dict[str, Any]
) -> None:
    out = inputs["model"].model.process_latent_in(run(nodes, inputs, **changes))
    assert float((out - core_latent(core, sample, inputs, **changes)).abs().max()) <= 1e-3
    assert not torch.equal(out, inputs["model"].model.process_latent_in(run(nodes, inputs)))


@pytest.mark.parametrize(
    "changes",
    [{"blank_tokens": "drop"}, {"reference_refresh": 2}, {"blank_tokens": "drop", "reference_refresh": 2}],
    ids=lambda changes: "-".join(changes),
)
def test_references_that_cost_less_are_those_of_the_core(
    nodes: ModuleType, inputs: dict[str, Any], core: LumosXPipeline, sample: Sample, changes: dict[str, Any]
) -> None:
    references = inputs["references"]
    half = [bytes([0, 0, 1, 1] * 3), bytes([1] * 5 + [0] * 7)]  # of 3 x 4 tokens
    marks = tuple(half[index % 2] for index in range(len(references.kinds)))
    given = {**inputs, "references": replace(references, blank=marks)}
    out = run(nodes, given, **changes)
    assert (
        float((inputs["model"].model.process_latent_in(out) - core_latent(core, sample, given, **changes)).abs().max()) <= 1e-4
    )
    assert torch.equal(run(nodes, given), run(nodes, inputs))
    assert float((out - run(nodes, inputs)).abs().max()) > 1e-3


def test_strengths_do_in_the_host_what_they_do_in_the_core(
    pack: Callable[[str], ModuleType],
    nodes: ModuleType,
    inputs: dict[str, Any],
    nano: Nano,
    core: LumosXPipeline,
    sample: Sample,
) -> None:
    """Through both samplers, with guidance; strengths of 1 are the very video without any."""
    conditioning, types = pack("nodes.conditioning_nodes"), pack("nodes.io_types")

    def encoded(strengths: list[tuple[str, float]]) -> tuple[Sample, dict[str, Any]]:
        changed = replace(sample, references=with_strengths(sample.references, strengths))
        bound = prepare(core, changed, config()).bound
        graph = types.RelationGraph(references=changed.references, bound=bound, tokenizer=core.text_encoder.tokenizer)
        with torch.no_grad():
            references = conditioning.EncodeReferences.execute(graph, nano[2], WIDTH, HEIGHT, LENGTH).args[0]
        return changed, {**inputs, "references": references}

    plain = run(nodes, inputs)
    for strengths in ([("@1", 0.4)], [("black hat", 0.0), ("@2", 1.7)]):
        changed, given = encoded(strengths)
        out = given["model"].model.process_latent_in(run(nodes, given))
        assert float((out - core_latent(core, changed, given)).abs().max()) <= 1e-4
        assert float((out - given["model"].model.process_latent_in(plain)).abs().max()) > 1e-2
    assert torch.equal(run(nodes, encoded([("@1", 1.0), ("black hat", 1.0)])[1]), plain)


def test_regions_do_in_the_host_what_they_do_in_the_core(
    pack: Callable[[str], ModuleType], nodes: ModuleType, inputs: dict[str, Any], core: LumosXPipeline, sample: Sample
) -> None:
    """With guidance; a region that is everywhere is the very video without any."""
    execute = pack("nodes.region_nodes").Regions.execute
    plain = run(nodes, inputs)
    given = {**inputs, "references": execute(inputs["references"], "right to left").args[0]}
    out = given["model"].model.process_latent_in(run(nodes, given))
    assert float((out - core_latent(core, sample, given, regions=("right", "left"))).abs().max()) <= 1e-4
    assert float((out - given["model"].model.process_latent_in(plain)).abs().max()) > 1e-2
    whole = execute(inputs["references"], "masks", region_1=torch.ones(1, HEIGHT, WIDTH)).args[0]
    assert torch.equal(run(nodes, {**inputs, "references": whole}), plain)


def test_sdpa_is_the_host_s_attention_on_a_cpu(nodes: ModuleType, inputs: dict[str, Any]) -> None:
    assert float((run(nodes, inputs, attention="sdpa") - run(nodes, inputs)).abs().max()) <= 1e-3


def test_attention_that_cannot_run_here_is_refused(nodes: ModuleType, inputs: dict[str, Any]) -> None:
    """The advice is what the node has, and it is given before any work, by LumosX Apply too."""
    message = "'sage' is not available: it runs on CUDA only, the model is on cpu; choose 'host' or 'sdpa'"
    with pytest.raises(InputError, match=message):
        run(nodes, inputs, attention="sage")
    with pytest.raises(InputError, match=message):
        nodes.Apply.execute(inputs["model"], inputs["references"], attention="sage")
    choices = next(item.options for item in nodes.Apply.define_schema().inputs if item.id == "attention")
    assert {"host", "sdpa"} <= set(choices) and "auto" not in choices


def test_references_are_there_in_the_part_that_was_asked_for(nodes: ModuleType, inputs: dict[str, Any]) -> None:
    """Levels of noise: 1, 0.857, 0.6; half of the schedule is 0.75."""
    whole, late, early = run(nodes, inputs), run(nodes, inputs, start_percent=0.5), run(nodes, inputs, end_percent=0.5)
    none = run(nodes, {**inputs, "start_percent": 0.99})
    assert not torch.equal(whole, late) and not torch.equal(whole, early) and not torch.equal(late, early)
    empty = replace(inputs["references"], latents=inputs["references"].latents[:0], kinds=(), subjects=())
    without = run(nodes, {**inputs, "references": empty})
    assert not torch.equal(without, late) and not torch.equal(without, early)
    assert torch.equal(none, without)


@pytest.mark.parametrize(("start", "end"), [(0.5, 0.5), (0.8, 0.2)])
def test_an_empty_part_is_refused(nodes: ModuleType, inputs: dict[str, Any], start: float, end: float) -> None:
    with pytest.raises(InputError, match="the start must come before the end"):
        run(nodes, inputs, start_percent=start, end_percent=end)


def test_videos_of_a_batch_are_those_made_one_by_one(nodes: ModuleType, inputs: dict[str, Any]) -> None:
    samples = inputs["latent"]["samples"]
    both = run(nodes, inputs, latent={"samples": samples.repeat(2, 1, 1, 1, 1)})
    second = run(nodes, inputs, latent={"samples": samples, "batch_index": [1]})
    assert both.shape == (2, *samples.shape[1:])
    assert float((both[:1] - run(nodes, inputs)).abs().max()) <= 1e-3
    assert float((both[1:] - second).abs().max()) <= 1e-3
    assert not torch.equal(both[0], both[1])


def test_apply_and_the_host_s_sampler_make_the_same_video(nodes: ModuleType, inputs: dict[str, Any]) -> None:
    patched = nodes.Apply.execute(inputs["model"], inputs["references"]).args[0]
    assert torch.equal(host_run(nodes, inputs, patched), run(nodes, inputs))


def test_the_model_that_came_in_is_unchanged(nodes: ModuleType, inputs: dict[str, Any]) -> None:
    model = inputs["model"]
    options, wrappers = dict(model.model_options["transformer_options"]), dict(model.wrappers)
    before = host_run(nodes, inputs, model)
    assert not torch.equal(run(nodes, inputs, shift=8.0), before)
    nodes.Apply.execute(model, inputs["references"])
    assert torch.equal(host_run(nodes, inputs, model), before)
    assert (model.model_options["transformer_options"], dict(model.wrappers)) == (options, wrappers)
    assert model.get_model_object("model_sampling").shift == SHIFT


def test_a_second_set_of_references_is_refused(nodes: ModuleType, inputs: dict[str, Any]) -> None:
    patched = nodes.Apply.execute(inputs["model"], inputs["references"]).args[0]
    with pytest.raises(InputError, match="has LumosX references already"):
        nodes.Apply.execute(patched, inputs["references"])
    with pytest.raises(InputError, match="has LumosX references already"):
        run(nodes, inputs, model=patched)


def test_another_model_is_refused_by_name(nodes: ModuleType, inputs: dict[str, Any]) -> None:
    import comfy.model_base

    other = inputs["model"].clone()
    other.model = object.__new__(comfy.model_base.Flux)
    torch.nn.Module.__init__(other.model)
    other.model.diffusion_model = torch.nn.Identity()
    with pytest.raises(InputError, match=r"this model is Flux; .*Wan2\.1 text-to-video"):
        nodes.Apply.execute(other, inputs["references"])


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 16, 2, 6, 16), "encoded for a video of 64 x 48 pixels, the latent is for 128 x 48"),
        ((1, 4, 6, 8), r"the latent is \[1, 4, 6, 8\], expected \[batch, 16, frames"),
        ((1, 48, 2, 6, 8), r"expected \[batch, 16, frames"),
    ],
)
def test_latents_of_another_size_or_kind_are_refused(
    nodes: ModuleType, inputs: dict[str, Any], shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        run(nodes, inputs, latent={"samples": torch.zeros(shape)})


def test_conditioning_of_another_prompt_is_refused(nodes: ModuleType, inputs: dict[str, Any], nano: Nano) -> None:
    other = nano[1].encode_from_tokens_scheduled(nano[1].tokenize("a man"))
    with pytest.raises(InputError, match=r"positive is of a prompt of \d+ tokens, .* prompt that comes out of LumosX Relation"):
        run(nodes, inputs, positive=other)
    longer = [[torch.cat([states, other[0][0]], 1), options] for states, options in inputs["positive"]]
    run(nodes, inputs, positive=longer, steps=1)  # what is appended moves no word


def ranged(conditioning: list, start: float, end: float) -> list:
    """The CONDITIONING for a part of the sampling, as the host's ConditioningSetTimestepRange makes it."""
    return [[states, {**more, "start_percent": start, "end_percent": end}] for states, more in conditioning]


def test_parts_that_are_all_of_the_prompt_run(nodes: ModuleType, inputs: dict[str, Any]) -> None:
    """ConditioningCombine and schedules of one prompt are that prompt."""
    positive, plain = inputs["positive"], run(nodes, inputs)
    patched = nodes.Apply.execute(inputs["model"], inputs["references"]).args[0]
    for parts in (positive + positive, ranged(positive, 0.0, 0.5) + ranged(positive, 0.5, 1.0)):
        assert float((run(nodes, inputs, positive=parts) - plain).abs().max()) <= 1e-3
        assert float((host_run(nodes, {**inputs, "positive": parts}, patched) - plain).abs().max()) <= 1e-3


def test_a_part_of_another_prompt_is_named(nodes: ModuleType, inputs: dict[str, Any], nano: Nano) -> None:
    """By LumosX Sampler, and by any sampler that is given the model of LumosX Apply, before the first step."""
    other = nano[1].encode_from_tokens_scheduled(nano[1].tokenize("a man"))
    patched = nodes.Apply.execute(inputs["model"], inputs["references"]).args[0]
    for parts, named in (
        (other, "positive is of a prompt of 3 tokens"),
        (inputs["positive"] + other, "part 2 of 2 of positive is of a prompt of 3 tokens"),
        (ranged(other, 0.5, 1.0) + inputs["positive"], r"part 1 of 2 of positive \(from 0.5 to 1 of the sampling\) is of"),
    ):
        for run_it in (
            lambda parts: run(nodes, inputs, positive=parts),
            lambda parts: host_run(nodes, {**inputs, "positive": parts}, patched),
        ):
            with pytest.raises(InputError, match=named):
                run_it(parts)


def test_a_prompt_of_as_many_tokens_is_noticed_too(
    nodes: ModuleType, inputs: dict[str, Any], core: LumosXPipeline, sample: Sample
) -> None:
    """What is typed into CLIP Text Encode is seen in the workflow that runs: for LumosX Sampler behind its own input, for
    LumosX Apply behind the samplers that use its model."""
    references = inputs["references"]
    said = prepare(core, sample, config()).bound.prompt
    swapped = said.replace("purple", "@").replace("black", "purple").replace("@", "black")
    assert said != swapped and len(references.tokenizer.encode(swapped)) == len(references.token_ids)
    for typed, fits in ((said, True), (swapped, False), (["9", 1], True), (f"({swapped}:1.2)", True)):
        workflow = {
            "1": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["8", 1], "text": typed}},
            "2": {"class_type": "LumosXSampler", "inputs": {"positive": ["1", 0], "model": ["8", 0]}},
            "3": {"class_type": "LumosXApply", "inputs": {"model": ["8", 0]}},
            "4": {"class_type": "ModelSamplingSD3", "inputs": {"model": ["3", 0]}},
            "5": {"class_type": "SamplerCustom", "inputs": {"positive": ["1", 0], "model": ["4", 0]}},
            "9": {"class_type": "LumosXRelationGraph", "inputs": {"prompt": "anything"}},
        }
        sampler, apply = (hidden(node, workflow, unique) for node, unique in ((nodes.Sampler, "2"), (nodes.Apply, "3")))
        calls = (lambda: sampler.execute(**{**inputs, "steps": 1}), lambda: apply.execute(inputs["model"], references))  # noqa: B023
        for call in calls:
            if fits:
                call()
            else:
                with pytest.raises(
                    InputError, match="positive is of another prompt than the references; give CLIP Text Encode"
                ):
                    call()


def hidden(node: Any, workflow: dict[str, Any], unique_id: str) -> Any:
    """The node class as the host hands it the workflow that runs."""
    return type(node.__name__, (node,), {"hidden": SimpleNamespace(prompt=workflow, unique_id=unique_id)})


def test_progress_is_shown_and_cancel_stops_it(
    nodes: ModuleType, inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import comfy.model_management
    import comfy.utils

    seen: list[tuple[int, int]] = []

    def hook(done: int, total: int, *_: Any, **__: Any) -> None:
        seen.append((done, total))
        if total == STEPS + 5:  # the second run
            comfy.model_management.interrupt_current_processing()

    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", hook)
    run(nodes, inputs)
    assert (seen[0], seen[-1]) == ((1, STEPS), (STEPS, STEPS))
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run(nodes, inputs, steps=STEPS + 5)
    assert seen[-1] == (1, STEPS + 5)


def test_attention_is_recorded_for_every_step(nodes: ModuleType, inputs: dict[str, Any]) -> None:
    out, record = nodes.Sampler.execute(**inputs, record_attention=True).args
    shares = record.shares()
    assert shares.shape == (STEPS, 2, HEIGHT // 16, WIDTH // 16, 2)
    assert record.sigmas == pytest.approx(nodes.Scheduler.execute(STEPS, SHIFT).args[0][:-1].tolist())
    assert float(shares.min()) > 0 and float(shares.sum(-1).max()) < 1
    plain, nothing = nodes.Sampler.execute(**inputs).args
    assert nothing is None and torch.equal(out["samples"], plain["samples"])


def test_a_record_begins_anew_with_every_run(nodes: ModuleType, inputs: dict[str, Any]) -> None:
    patched, record = nodes.Apply.execute(inputs["model"], inputs["references"], record_attention=True).args
    for steps in (2, 3):
        host_run(nodes, inputs, patched, steps)
        assert len(record.sigmas) == steps
