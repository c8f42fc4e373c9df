"""The host's own Wan model, patched by the bridge, against the golden numbers of the published system."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch

from lumosx_core.checks.golden import ABLATIONS, GOLDEN_FOLDER, GoldenCase, read_cases
from lumosx_core.errors import InputError
from lumosx_core.files.weights import read_safetensors
from lumosx_core.model.flow import flow_sigmas
from lumosx_core.model.token_layout import text_levels
from lumosx_core.sampling.solver import dpmpp_2m

BAR = 3e-5
CONFIG, CASES = read_cases(GOLDEN_FOLDER)
EVEN = [case for case in CASES if case.name != "odd_size"]  # the host pads odd sides in another way


@pytest.fixture(scope="module")
def model(models: ModuleType) -> Any:
    """The golden transformer in the host: a ModelPatcher."""
    return models.host_model(read_safetensors(GOLDEN_FOLDER / "dit_weights.safetensors")[0], CONFIG)


@pytest.fixture(scope="module")
def sampling(pack: Callable[[str], ModuleType]) -> ModuleType:
    return pack("nodes.comfy_sampling")


def encoded(bridge: ModuleType, model: Any, case: GoldenCase) -> Any:
    """The case's references as the nodes hand them on: raw latents, as the host's VAE gives them."""
    raw = model.model.process_latent_out(case.tensors["reference_latents"]).squeeze(2)
    return bridge.EncodedReferences(
        latents=raw,
        kinds=tuple(r.kind for r in case.references),
        subjects=tuple(r.subject for r in case.references),
        levels=text_levels(case.references, CONFIG.text_len),
        frames=case.grid[0],
    )


def run(model: Any, latent: torch.Tensor, timestep: float, context: torch.Tensor, passes: list[int]) -> torch.Tensor:
    """One call of the model the way the host's sampler calls it."""
    import comfy.model_management
    import comfy.patcher_extension

    comfy.model_management.load_models_gpu([model])
    options = {**model.model_options["transformer_options"], "cond_or_uncond": passes}
    options["wrappers"] = comfy.patcher_extension.copy_nested_dicts(model.wrappers)
    padded = torch.nn.functional.pad(context, (0, 0, 0, max(0, CONFIG.text_len - context.shape[1])))
    with torch.no_grad():
        return model.model.diffusion_model(latent, torch.full((len(latent),), timestep), padded, transformer_options=options)


def deviation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).detach().abs().max())


@pytest.mark.parametrize("case", EVEN, ids=lambda case: case.name)
def test_patched_host_model_gives_the_published_numbers(bridge: ModuleType, model: Any, case: GoldenCase) -> None:
    patched = bridge.apply_relations(model, encoded(bridge, model, case), bridge.PatchOptions())
    out = run(patched, case.tensors["latent"], case.timestep - 6e-5, case.tensors["context"], [0])
    assert deviation(out, case.tensors["output_full"]) <= BAR


@pytest.mark.parametrize("key", list(ABLATIONS))
def test_every_switch_gives_the_published_ablation(bridge: ModuleType, model: Any, key: str) -> None:
    case = CASES[0]
    switches, ratio = ABLATIONS[key]
    options = bridge.PatchOptions(**switches, **({} if ratio is None else {"ratio": ratio}))
    patched = bridge.apply_relations(model, encoded(bridge, model, case), options)
    out = run(patched, case.tensors["latent"], case.timestep, case.tensors["context"], [0])
    assert deviation(out, case.tensors[key]) <= BAR


def test_nothing_leaks_into_the_model_that_came_in(bridge: ModuleType, model: Any) -> None:
    case = CASES[0]
    arguments = (case.tensors["latent"], case.timestep, case.tensors["context"], [0])
    before = run(model, *arguments)
    patched = bridge.apply_relations(model, encoded(bridge, model, case), bridge.PatchOptions())
    assert deviation(run(patched, *arguments), before) > 1e-3
    assert torch.equal(run(model, *arguments), before)


def test_both_passes_in_one_batch_or_one_by_one(bridge: ModuleType, model: Any) -> None:
    case = CASES[0]
    latent, context = case.tensors["latent"], case.tensors["context"]
    other = context.flip(1)
    for negative_spans in ("positive", "none"):
        options = bridge.PatchOptions(negative_spans=negative_spans)
        patched = bridge.apply_relations(model, encoded(bridge, model, case), options)
        single = [run(patched, latent, case.timestep, c, [p]) for p, c in ((1, other), (0, context))]
        both = run(patched, latent.repeat(2, 1, 1, 1, 1), case.timestep, torch.cat([other, context]), [1, 0])
        assert deviation(both, torch.cat(single)) <= BAR
    assert deviation(single[0], run(_with_levels(bridge, model, case), latent, case.timestep, other, [1])) > 1e-4


@pytest.mark.parametrize("switches", [{}, {"negative_references": "blank", "negative_spans": "none"}])
def test_videos_of_a_prompt_share_the_rows_of_the_references(bridge: ModuleType, model: Any, switches: dict) -> None:
    case = CASES[0]
    patched = bridge.apply_relations(model, encoded(bridge, model, case), bridge.PatchOptions(**switches))
    generator = torch.Generator().manual_seed(5)
    latents = torch.randn(3, *case.tensors["latent"].shape[1:], generator=generator)
    negative, context = case.tensors["context"].flip(1), case.tensors["context"]
    pairs = [(latent[None], words, kind) for words, kind in ((negative, 1), (context, 0)) for latent in latents]
    alone = torch.cat([run(patched, latent, case.timestep, words, [kind]) for latent, words, kind in pairs])
    shapes: list[tuple[int, ...]] = []
    first = model.model.diffusion_model.blocks[0]
    handle = first.register_forward_pre_hook(lambda module, args: shapes.append(tuple(args[0].shape)))  # noqa: ARG005
    try:
        whole = torch.cat([latents, latents])
        words = torch.cat([negative.expand(3, -1, -1), context.expand(3, -1, -1)])
        together = run(patched, whole, case.timestep, words, [1, 0])
        words = torch.cat([words[:5], negative])  # one video of another prompt
        apart = run(patched, whole, case.timestep, words, [1, 0])
    finally:
        handle.remove()
    frames, height, width = case.grid
    tokens, references = frames * height * width, len(case.references) * height * width
    assert [shape[:2] for shape in shapes] == [(2, 3 * tokens + references), (6, tokens + references)]
    assert deviation(together, alone) <= BAR and deviation(apart[:5], alone[:5]) <= BAR
    assert deviation(apart[5], alone[5]) > 1e-3 and deviation(together[0], together[1]) > 1e-2


def test_references_are_computed_when_due_and_without_what_is_blank(bridge: ModuleType, model: Any) -> None:
    case = CASES[0]
    frames, height, width = case.grid
    p, count = height * width, len(case.references)
    references = replace(encoded(bridge, model, case), blank=(bytes(p - 2) + b"\1\1",) * count)
    rows: list[int] = []
    handle = model.model.diffusion_model.blocks[1].register_forward_pre_hook(lambda _, args: rows.append(args[0].shape[1]))
    given = (case.tensors["latent"], case.tensors["context"])
    try:
        for drop, refresh in (("drop", 1), ("drop", 2), ("keep", 2)):
            options = bridge.PatchOptions(blank_tokens=drop, reference_refresh=refresh)
            patched = bridge.apply_relations(model, references, options)
            for timestep, kind in ((900, 1), (900, 0), (700, 1), (700, 0), (500, 1), (300, 0)):
                out = run(patched, given[0], timestep, given[1], [kind])
                assert out.shape == given[0].shape and torch.isfinite(out).all()
            patched.cleanup()
            run(patched, given[0], 300, given[1], [0])
    finally:
        handle.remove()
    video, whole = frames * p, (frames + count) * p
    fewer = whole - 2 * count
    due = [True, True, False, False, True, True, True]  # the last prompt comes up for the first time since they were due
    assert rows == [fewer] * 7 + [fewer if new else video for new in due] + [whole if new else video for new in due]


def _with_levels(bridge: ModuleType, model: Any, case: GoldenCase) -> Any:
    return bridge.apply_relations(model, encoded(bridge, model, case), bridge.PatchOptions())


def test_a_lora_before_or_after_is_the_lora_in_the_weights(bridge: ModuleType, models: ModuleType, model: Any) -> None:
    import comfy.sd

    case, weights = CASES[0], dict(read_safetensors(GOLDEN_FOLDER / "dit_weights.safetensors")[0])
    generator, lora = torch.Generator().manual_seed(0), {}
    for layer in ("blocks.0.self_attn.q", "blocks.1.cross_attn.k", "blocks.1.ffn.0"):
        rows, columns = weights[f"{layer}.weight"].shape
        down, up = torch.randn(4, columns, generator=generator), torch.randn(rows, 4, generator=generator) * 0.05
        lora |= {f"diffusion_model.{layer}.lora_A.weight": down, f"diffusion_model.{layer}.lora_B.weight": up}
        weights[f"{layer}.weight"] = weights[f"{layer}.weight"] + 0.8 * up @ down

    def with_lora(patcher: Any) -> Any:
        return comfy.sd.load_lora_for_models(patcher, None, lora, 0.8, 0.0)[0]

    def with_references(patcher: Any) -> Any:
        return bridge.apply_relations(patcher, encoded(bridge, model, case), bridge.PatchOptions())

    def output(patcher: Any) -> torch.Tensor:
        return run(patcher, case.tensors["latent"], case.timestep, case.tensors["context"], [0])

    before, after = output(with_references(with_lora(model))), output(with_lora(with_references(model)))
    assert torch.equal(before, after)
    assert deviation(before, output(with_references(models.host_model(weights, CONFIG)))) <= BAR
    assert deviation(before, output(with_references(model))) > 1e-3


def test_an_override_of_attention_that_is_there_is_called(bridge: ModuleType, model: Any) -> None:
    case, calls = CASES[0], []

    def counting(func: Callable, *args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append(args[0].shape)
        return func(*args, **kwargs)

    other = model.clone()
    other.model_options["transformer_options"]["optimized_attention_override"] = counting
    patched = bridge.apply_relations(other, encoded(bridge, model, case), bridge.PatchOptions())
    out = run(patched, case.tensors["latent"], case.timestep, case.tensors["context"], [0])
    assert deviation(out, case.tensors["output_full"]) <= BAR
    assert len(calls) >= 2 * CONFIG.num_layers


def test_references_of_another_size_are_refused(bridge: ModuleType, model: Any) -> None:
    case = CASES[0]
    patched = bridge.apply_relations(model, encoded(bridge, model, case), bridge.PatchOptions())
    wider = torch.cat([case.tensors["latent"]] * 2, -1)
    with pytest.raises(InputError, match="were encoded for a video of"):
        run(patched, wider, case.timestep, case.tensors["context"], [0])


def test_a_second_set_of_references_is_refused(bridge: ModuleType, model: Any) -> None:
    case = CASES[0]
    patched = bridge.apply_relations(model, encoded(bridge, model, case), bridge.PatchOptions())
    with pytest.raises(InputError, match="has LumosX references already"):
        bridge.apply_relations(patched, encoded(bridge, model, case), bridge.PatchOptions())


@pytest.mark.parametrize("steps", [4, 8])
def test_guided_sampling_in_the_host_gives_the_published_video(
    bridge: ModuleType, sampling: ModuleType, model: Any, steps: int
) -> None:
    import comfy.sample

    case, (stored, _) = CASES[0], read_safetensors(GOLDEN_FOLDER / "sampler.safetensors")
    patched = bridge.apply_relations(model, encoded(bridge, model, case), bridge.PatchOptions())
    noise, text_len = stored["initial_noise"], CONFIG.text_len
    positive, negative = (
        [[torch.nn.functional.pad(stored[name], (0, 0, 0, text_len - stored[name].shape[1])), {}]]
        for name in ("context", "negative_context")
    )
    seen: list[int] = []
    out = comfy.sample.sample_custom(
        patched,
        noise,
        6.0,
        sampling.host_sampler(dpmpp_2m),
        flow_sigmas(steps, 8.0),
        positive,
        negative,
        torch.zeros_like(noise),
        callback=lambda *progress: seen.append(progress[0]),
        disable_pbar=True,
        seed=0,
    )
    assert deviation(model.model.process_latent_in(out), stored[f"sampled_{steps}"]) <= 1e-4
    assert seen == list(range(steps))


def test_an_interrupted_sampling_stops_within_one_step(sampling: ModuleType, model: Any) -> None:
    import comfy.model_management

    asked: list[float] = []

    def velocity_model(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        asked.append(float(sigma[0]))
        if len(asked) == 2:
            comfy.model_management.interrupt_current_processing()
        return x * 0.5

    assert model is not None
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        sampling.host_sampler(dpmpp_2m).sampler_function(velocity_model, torch.ones(1, 16, 1, 2, 2), flow_sigmas(8, 8.0))
    assert len(asked) == 2


def test_the_part_with_references_is_that_of_the_sampling_that_runs(bridge: ModuleType, nano: tuple[Any, Any, Any]) -> None:
    """A node after LumosX Apply may change the schedule's shift: percentages mean the noise levels of what runs."""
    from comfy_extras.nodes_model_advanced import ModelSamplingSD3

    references = bridge.EncodedReferences(
        latents=torch.zeros(1, 16, 4, 4), kinds=("face",), subjects=(0,), levels=torch.zeros(1, 8), frames=1
    )
    options = bridge.PatchOptions(start_percent=0.2, end_percent=0.7)
    shifted = ModelSamplingSD3().patch(nano[0], 12.0)[0]
    before = ModelSamplingSD3().patch(bridge.apply_relations(nano[0], references, options), 12.0)[0]
    after = bridge.apply_relations(shifted, references, options)
    spans = []
    for model in (before, after):
        hooks = model.wrappers["diffusion_model"][bridge.KEY][0].__self__
        model.patch_model(device_to=torch.device("cpu"))
        levels = torch.linspace(0.01, 1, 100)
        spans.append([hooks._active({"sigmas": level[None]}) for level in levels])
        model.unpatch_model()
    sampling = shifted.get_model_object("model_sampling")
    expected = [sampling.percent_to_sigma(0.7) <= level <= sampling.percent_to_sigma(0.2) for level in levels.tolist()]
    assert spans[0] == spans[1] == expected and 0 < sum(expected) < 100


STRETCH = {"scale_x": 1.5, "shift_x": 2.0, "scale_y": 0.5, "shift_y": -1.0, "scale_t": 2.0, "shift_t": 0.5}


def test_stretched_positions_are_those_of_the_host(bridge: ModuleType, model: Any) -> None:
    """ScaleROPE: the video's tokens sit where the host's own Wan puts them, and only the options that are given count."""
    from lumosx_core.model.token_layout import TokenLayout

    layout, network = TokenLayout(3, 4, 6, kinds=("face", "attribute"), subjects=(0, 0)), model.model.diffusion_model
    for changes in ({}, STRETCH, {"scale_t": 3.0}, {"shift_x": 4.0}):
        own = bridge._rope(network, layout, torch.device("cpu"), changes)
        host = network.rope_encode(3, 8, 12, device=torch.device("cpu"), transformer_options={"rope_options": changes})
        assert own.shape[1] == layout.seq_len
        assert deviation(own[:, : layout.video_len], host) <= 1e-5


def test_scale_rope_before_or_after_the_references(bridge: ModuleType, model: Any) -> None:
    rope = pytest.importorskip("comfy_extras.nodes_rope", reason="NO SCALEROPE in this ComfyUI")
    case = CASES[0]

    def scaled(patcher: Any, changes: dict[str, float]) -> Any:
        return rope.ScaleROPE.execute(patcher, **changes).args[0]

    def output(patcher: Any) -> torch.Tensor:
        return run(patcher, case.tensors["latent"], case.timestep, case.tensors["context"], [0])

    plain = _with_levels(bridge, model, case)
    before, after = output(_with_levels(bridge, scaled(model, STRETCH), case)), output(scaled(plain, STRETCH))
    nothing = {name: 1.0 if name.startswith("scale") else 0.0 for name in STRETCH}
    assert torch.equal(before, after) and deviation(before, output(plain)) > 1e-3
    assert torch.equal(output(scaled(plain, nothing)), output(plain))


def test_a_compiler_traces_it_without_warnings(bridge: ModuleType, model: Any) -> None:
    """As under the host's TorchCompileModel node: nothing of ours is cached where a compiler has to look through the cache."""
    import torch._dynamo

    from lumosx_core.model.attention_backends import sdpa_attention
    from lumosx_core.model.token_layout import TokenLayout

    network, switches = model.model.diffusion_model, {"ratio": 0.5, "pool": bridge.POOL}
    q, levels = torch.randn(1, 5 * 24, 2, 8), torch.rand(1, 3, 7)

    def traced(q: torch.Tensor) -> tuple[torch.Tensor, ...]:
        layout = TokenLayout(2, 4, 6, kinds=("background", "face", "attribute"), subjects=(None, 0, 0))
        text = q[:, :7]
        return (
            bridge.relational_self_attention(q, q, q, layout, sdpa_attention),
            bridge.relational_cross_attention(q, text, text, layout, levels, sdpa_attention, **switches),
            bridge._rope(network, layout, q.device, STRETCH),
        )

    torch._dynamo.reset()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        got = torch.compile(traced, backend="eager")(q)
    torch._dynamo.reset()
    assert [str(each.message) for each in told if "lru_cache" in str(each.message)] == []
    assert all(deviation(a, b) <= 1e-5 for a, b in zip(got, traced(q), strict=True))
