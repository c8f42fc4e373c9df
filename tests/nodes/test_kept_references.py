"""Keys and values of references that a patched host model keeps: when they are computed, for whom, and what they take."""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch
from test_comfy_bridge import BAR, CASES, CONFIG, deviation, encoded, run

from lumosx_core.checks.golden import GOLDEN_FOLDER
from lumosx_core.errors import InputError
from lumosx_core.files.weights import read_safetensors

CASE = CASES[0]
FRAMES, HEIGHT, WIDTH = CASE.grid
PICTURE, COUNT = HEIGHT * WIDTH, len(CASE.references)
VIDEO, WHOLE = FRAMES * PICTURE, (FRAMES + COUNT) * PICTURE
KEYS_BYTES = 2 * COUNT * PICTURE * CONFIG.dim * CONFIG.num_layers * 4  # of one prompt


@pytest.fixture(scope="module")
def model(models: ModuleType) -> Any:
    """The golden transformer in the host: a ModelPatcher."""
    return models.host_model(read_safetensors(GOLDEN_FOLDER / "dit_weights.safetensors")[0], CONFIG)


@pytest.fixture(scope="module")
def kept(pack: Callable[[str], ModuleType]) -> ModuleType:
    return pack("nodes.kept_references")


def computed_at(
    references: Any, levels: list[float], schedule: torch.Tensor | None, prompts: tuple[str, ...] = ("a",)
) -> list[float]:
    """The noise levels at which keys are to be put in; they are."""
    due = []
    for level in levels:
        keys = references.of(level, schedule, prompts, "kind")
        if not keys.filled:
            due.append(level)
            for block in range(references.blocks):
                assert keys.of(block) == []
                keys.put(block, [torch.arange(2.0)[: len(prompts), None] + level] * 2)
    return due


SCHEDULE = torch.tensor([1.0, 0.9, 0.75, 0.5, 0.25, 0.0])


@pytest.mark.parametrize(
    ("levels", "due"),
    [
        ([1.0, 0.9, 0.75, 0.5, 0.25], [1.0, 0.75, 0.25]),  # Euler
        ([1.0, 0.9, 0.9, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25], [1.0, 0.75, 0.25]),  # Heun looks at the next level too
        ([1.0, 0.95, 0.9, 0.82, 0.75, 0.61, 0.5, 0.35, 0.25], [1.0, 0.75, 0.25]),  # halfway, as DPM++ SDE
        ([1.01, 0.9, 0.94, 0.75, 0.8, 0.5], [1.01, 0.75]),  # noise added before a step
        ([0.9, 0.75, 0.5, 0.25], [0.9, 0.5]),  # counted from where references begin
        ([1.0, 0.9, 0.75, 0.5, 0.25, 1.0, 0.9, 0.75], [1.0, 0.75, 0.25, 1.0, 0.75]),  # begun again
    ],
)
def test_steps_are_counted_by_their_place_in_the_schedule(kept: ModuleType, levels: list[float], due: list[float]) -> None:
    assert computed_at(kept.KeptReferences(2, 3), levels, SCHEDULE) == due


def test_a_schedule_may_rise_or_be_missing(kept: ModuleType) -> None:
    rising = [0.1, 0.25, 0.3, 0.5, 0.6, 0.75]
    assert computed_at(kept.KeptReferences(2, 1), rising, SCHEDULE.flip(0)) == [0.1, 0.5]
    assert computed_at(kept.KeptReferences(2, 1), [1.0, 1.0, 0.9, 0.9, 0.75, 0.5], None) == [1.0, 0.75]


def test_prompts_keep_their_own_however_they_are_put_together(kept: ModuleType) -> None:
    references = kept.KeptReferences(3, 2)
    assert computed_at(references, [1.0], SCHEDULE, ("a", "b")) == [1.0]
    size = references.held_bytes
    assert size == 2 * 2 * 2 * 4
    for prompts, values in ((("a",), [1.0]), (("b",), [2.0]), (("b", "a"), [2.0, 1.0])):
        keys = references.of(0.9, SCHEDULE, prompts, "kind")
        assert keys.filled and [x.flatten().tolist() for x in keys.of(1)] == [values] * 2
    assert references.held_bytes == size
    assert not references.of(0.9, SCHEDULE, ("a",), "kind on another device").filled
    references.clear()
    assert references.held_bytes == 0 and not references.of(0.9, SCHEDULE, ("a",), "kind").filled


def hooks_of(bridge: ModuleType, patched: Any) -> Any:
    return patched.wrappers["diffusion_model"][bridge.KEY][0].__self__


def blank(references: Any) -> Any:
    """The last two tokens of every picture show nothing."""
    return replace(references, blank=(bytes(PICTURE - 2) + b"\1\1",) * COUNT)


def sampled(
    patched: Any, sampler: str, *, videos: int = 1, callback: Callable | None = None, negative: bool = True
) -> torch.Tensor:
    """Three guided steps of the host."""
    import comfy.sample
    import comfy.samplers

    stored = read_safetensors(GOLDEN_FOLDER / "sampler.safetensors")[0]
    noise = stored["initial_noise"].repeat(videos, 1, 1, 1, 1)
    texts = [
        [[torch.nn.functional.pad(stored[name], (0, 0, 0, CONFIG.text_len - stored[name].shape[1])), {}]]
        for name in ("context", "negative_context")
    ]
    sigmas = torch.tensor([1.0, 0.8, 0.5, 0.2, 0.0])
    return comfy.sample.sample_custom(
        patched,
        noise,
        4.0 if negative else 1.0,
        comfy.samplers.sampler_object(sampler),
        sigmas,
        *texts,
        torch.zeros_like(noise),
        callback=callback,
        disable_pbar=True,
        seed=0,
    )


@pytest.fixture
def rows(model: Any) -> Any:
    """[batch, tokens] of every call of a block."""
    seen: list[tuple[int, int]] = []
    handle = model.model.diffusion_model.blocks[1].register_forward_pre_hook(
        lambda _, args: seen.append((args[0].shape[0], args[0].shape[1]))
    )
    yield seen
    handle.remove()


def test_a_sampler_that_looks_between_two_steps_computes_in_every_second_one(
    bridge: ModuleType, model: Any, rows: list[tuple[int, int]]
) -> None:
    patched = bridge.apply_relations(model, encoded(bridge, model, CASE), bridge.PatchOptions(reference_refresh=2))
    sampled(patched, "dpm_2")
    assert rows == [(2, count) for count in (WHOLE, VIDEO, VIDEO, VIDEO, WHOLE, VIDEO, VIDEO)]


def test_what_is_reserved_is_what_is_kept_whatever_the_host_has_free(
    bridge: ModuleType, model: Any, rows: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host computes both prompts at once while there is room for it, else one after the other."""
    import comfy.model_management
    import comfy.model_patcher

    patched = bridge.apply_relations(model, encoded(bridge, model, CASE), bridge.PatchOptions(reference_refresh=4))
    held, free = [], [2**40]
    patcher = comfy.model_patcher.ModelPatcher
    told_by = patcher if hasattr(patcher, "get_free_memory") else comfy.model_management  # an older ComfyUI
    monkeypatch.setattr(told_by, "get_free_memory", lambda *given, **_: (2**40, 2**40) if True in given else free[0])

    def callback(*_: Any) -> None:
        held.append(hooks_of(bridge, patched).kept.held_bytes)
        free[0] = 0

    together = sampled(patched, "euler", callback=callback)
    assert rows == [(2, WHOLE)] + 3 * [(1, VIDEO), (1, VIDEO)]
    assert held == [2 * KEYS_BYTES] * 4
    free[0] = 2**40
    monkeypatch.undo()
    assert deviation(together, sampled(patched, "euler")) <= BAR * together.abs().max()
    assert hooks_of(bridge, patched).kept.held_bytes == 0


def test_nothing_is_kept_after_a_sampling_that_was_cancelled(bridge: ModuleType, model: Any) -> None:
    import comfy.model_management

    patched = bridge.apply_relations(model, encoded(bridge, model, CASE), bridge.PatchOptions(reference_refresh=2))
    held = []

    def cancel(*_: Any) -> None:
        held.append(hooks_of(bridge, patched).kept.held_bytes)
        raise comfy.model_management.InterruptProcessingException

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        sampled(patched, "euler", callback=cancel)
    assert held == [2 * KEYS_BYTES] and hooks_of(bridge, patched).kept.held_bytes == 0


@pytest.mark.parametrize(
    ("prompts", "videos", "recorded", "times"), [(2, 1, False, 2), (1, 1, False, 1), (2, 3, False, 2), (2, 3, True, 6)]
)
def test_memory_is_reserved_for_what_is_kept(
    bridge: ModuleType, model: Any, prompts: int, videos: int, recorded: bool, times: int
) -> None:
    """times: how often the keys of one prompt are kept."""
    shapes = {}
    for refresh in (1, 2):
        record = bridge.AttentionRecord() if recorded else None
        options = bridge.PatchOptions(reference_refresh=refresh)
        patched = bridge.apply_relations(model, encoded(bridge, model, CASE), options, record)
        conds = {"positive": [{}], "negative": [{}] * (prompts - 1)}
        shapes[refresh] = hooks_of(bridge, patched).prepare_sampling(
            lambda _, shape, *args, **rest: shape,  # noqa: ARG005
            patched,
            (videos, 16, FRAMES, 2 * HEIGHT, 2 * WIDTH),
            conds,
            model_options=patched.model_options,
        )
    assert shapes[1][2] == FRAMES + COUNT
    required = [model.model.memory_required([2 * videos, *shapes[refresh][1:]]) for refresh in (2, 1)]
    frame = model.model.memory_required([2 * videos, 16, 1, *shapes[1][3:]])
    assert times * KEYS_BYTES <= required[0] - required[1] < times * KEYS_BYTES + frame


@pytest.mark.parametrize("switches", [{"blank_tokens": "drop"}, {"reference_refresh": 2}])
def test_videos_of_a_prompt_share_what_is_kept_and_dropped(
    bridge: ModuleType, model: Any, switches: dict[str, Any], rows: list[tuple[int, int]]
) -> None:
    options = bridge.PatchOptions(**switches)
    references = blank(encoded(bridge, model, CASE))
    latents = torch.randn(2, *CASE.tensors["latent"].shape[1:], generator=torch.Generator().manual_seed(5))
    words = {0: CASE.tensors["context"], 1: CASE.tensors["context"].flip(1)}
    alone = {}
    for kind in (1, 0):
        for number, latent in enumerate(latents):
            patched = bridge.apply_relations(model, references, options)
            alone[kind, number] = [run(patched, latent[None], timestep, words[kind], [kind]) for timestep in (900, 700)]
    rows.clear()
    patched = bridge.apply_relations(model, references, options)
    both = torch.cat([words[1], words[1], words[0], words[0]])
    together = [run(patched, torch.cat([latents, latents]), timestep, both, [1, 0]) for timestep in (900, 700)]
    for step, videos in enumerate(together):
        expected = torch.cat([alone[kind, number][step] for kind in (1, 0) for number in (0, 1)])
        assert deviation(videos, expected) <= BAR
    fewer = 2 * COUNT if "blank_tokens" in switches else 0
    first = WHOLE + VIDEO - fewer
    assert rows == [(2, first), (2, 2 * VIDEO if "reference_refresh" in switches else first)]
    assert deviation(together[0], together[1]) > 1e-2 and deviation(together[0][0], together[0][1]) > 1e-2


@pytest.mark.parametrize("layer", [0, CONFIG.num_layers - 1])
def test_a_later_node_that_takes_the_place_of_a_block_is_told_or_left_alone(
    bridge: ModuleType, model: Any, layer: int, rows: list[tuple[int, int]]
) -> None:
    """Skip Layer Guidance leaves a block out in a pass of its own."""
    from comfy_extras.nodes_slg import SkipLayerGuidanceDiT

    def skipping(**switches: Any) -> Any:
        patched = bridge.apply_relations(model, blank(encoded(bridge, model, CASE)), bridge.PatchOptions(**switches))
        arguments = {"double_layers": str(layer), "single_layers": "", "scale": 1.0, "start_percent": 0.0, "end_percent": 1.0}
        return SkipLayerGuidanceDiT.execute(patched, **arguments).args[0]

    for switches in ({"blank_tokens": "drop"}, {"reference_refresh": 2}):
        with pytest.raises(InputError, match=f"replaces block 0 or {CONFIG.num_layers - 1} of the model"):
            sampled(skipping(**switches), "euler")
    rows.clear()
    out = sampled(skipping(), "euler", videos=2)
    assert torch.isfinite(out).all()
    assert rows[0] == (2, VIDEO + WHOLE)  # both passes of guidance share the references; the pass without the block does not
