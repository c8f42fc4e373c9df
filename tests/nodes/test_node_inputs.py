"""Whatever comes into a node, over links too: it runs, or an InputError says what is wrong, soon and before anything large."""

import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lumosx_core.errors import InputError
from lumosx_core.references import Attribute, Subject

Nano = tuple[Any, Any, Any]
PICTURE = Image.new("RGB", (8, 8), "red")
NAN, INF = float("nan"), float("inf")
LONGEST_S = 5.0

pytestmark = pytest.mark.usefixtures("host_folders")


def grid(*shape: int, value: float = 0.5, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.full(shape, value, dtype=dtype)


def box(**more: Any) -> dict[str, Any]:
    return {"x": 1, "y": 1, "width": 4, "height": 4, **more}


STRANGE: Sequence[Any] = (
    None, "", "text", b"bytes", 5, -1, 0.5, True, [], {}, (), [None], {"samples": None}, object(), PICTURE, NAN, torch.zeros(0),
    [[torch.zeros(1, 0, 8), {}]], [[torch.zeros(1, 4, 8)]], {"samples": [1]},
)  # fmt: skip
NUMBERS: Sequence[Any] = (
    None, NAN, INF, -INF, -1, 0, 1, 0.5, 1e9, 1e300, -1e300, 10**400, -(10**400), 2**64, 2**63, "5", "", True, 1 + 2j,
    torch.tensor(1.0), torch.tensor(NAN), torch.tensor([1.0, 2.0]), torch.zeros(0), np.float32(1), np.int64(-7), np.array([1]),
    np.array(INF), [], {}, object(),
)  # fmt: skip
IMAGES: Sequence[Any] = (
    grid(1, 8, 8, 3),
    grid(2, 8, 8, 3).requires_grad_(),
    grid(1, 8, 8, 4),
    grid(1, 1, 1, 3),
    grid(1, 0, 0, 3),
    grid(0, 8, 8, 3),
    grid(8, 8, 3),
    grid(1, 8, 8, 1),
    grid(1, 3, 8, 8),
    grid(1, 8, 8, 3, value=NAN),
    grid(1, 8, 8, 3, value=INF),
    grid(1, 8, 8, 3, value=200.0),
    grid(1, 8, 8, 3, value=-1.0),
    grid(1, 8, 8, 3, value=200, dtype=torch.uint8),
    grid(1, 8, 8, 3, value=1, dtype=torch.int64),
    grid(1, 8, 8, 3, value=1, dtype=torch.bool),
    grid(1, 8, 8, 3, dtype=torch.float16),
    grid(1, 8, 8, 3, dtype=torch.bfloat16),
    grid(1, 8, 8, 3, dtype=torch.float64),
    torch.zeros(1, 8, 8, 3, dtype=torch.complex64),
    grid(1, 8, 8, 3, value=1.2),
    torch.zeros(1).expand(1, 100_000, 100_000, 3),
    torch.zeros(1).expand(10_000_000, 64, 64, 3),
    torch.zeros(()),
    np.zeros((1, 8, 8, 3)),
)
MASKS: Sequence[Any] = (
    grid(1, 8, 8, value=1.0),
    grid(8, 8, value=1.0),
    grid(2, 8, 8),
    grid(1, 0, 0),
    grid(0, 8, 8),
    grid(1, 64, 64, value=0.0),
    grid(8),
    grid(1, 1, 8, 8),
    grid(1, 8, 8, value=NAN),
    grid(1, 8, 8, value=INF),
    grid(1, 8, 8, value=255.0),
    grid(1, 8, 8, value=-3.0),
    grid(1, 8, 8, value=1, dtype=torch.uint8),
    grid(1, 8, 8, value=255, dtype=torch.uint8),
    grid(1, 8, 8, value=1, dtype=torch.bool),
    torch.zeros(1, 8, 8, dtype=torch.complex64),
    torch.zeros(1).expand(1, 100_000, 100_000),
    np.ones((1, 8, 8)),
    torch.zeros(()),
)
BOXES: Sequence[Any] = (
    box(), [box()], [[box()]], [[], []], [], {}, [{}], [[None]], [None], None, "face", 5, [5], [["face"]], [{"x": 1}],
    [[[box()]]], box(x=None), box(x=NAN), box(y=INF), box(width=1e300), box(width=10**400), box(height=-5), box(width=0),
    box(x="1"), box(x=torch.tensor(2.0)), box(x=torch.tensor([1.0, 2.0])), box(y=np.float32(2)), box(y=np.int64(3)), box(x=[1]),
    box(x=True), [box()] * 5000, [[box()] * 5000], box(x=500), torch.zeros(1, 4), np.zeros((1, 4)), [(1, 2, 3, 4)],
)  # fmt: skip
TEXTS: Sequence[Any] = (
    "hat", "", " ", "red\nhat", "red\x00hat", "red\x1b[31mhat", "red\x7fhat", "\x85", "\ud800", "a\udfffb", "\u202ehat",
    "\u200b", "@", "@1", "@@@hat", "hat" * 100_000, "(" * 5000, "(man) " * 3000, "&amp;" * 3000, "embedding:" + "x" * 9000,
    "1, 1, 5, 5", "9" * 400 + ",1,2,3", "1,1;" * 4000, "nan, 1, 2, 3", "1, 1", "-5, 2", "1e5, 3", "mask", "segment", "none",
    None, 5, b"hat", ["hat"], "\u5e3d\u5b50",
)  # fmt: skip


@pytest.fixture
def pool() -> Callable[[Any, random.Random], Any]:
    """pool(input of a schema, random numbers): a value for it, now and then one of another kind."""

    def value(item: Any, rng: random.Random) -> Any:
        from comfy_api.latest import io

        if rng.random() < 0.1:
            return rng.choice(STRANGE)
        if isinstance(item, io.Autogrow.Input):
            names, inside = item.template.names, rng.choice([[PICTURE], [None, None], [5], ["x"]])
            return rng.choice([None, {}, [], dict(zip(names, inside, strict=False)), 7])
        if isinstance(item, (io.Int.Input, io.Float.Input, io.Boolean.Input)):
            return rng.choice(NUMBERS)
        if isinstance(item, (io.String.Input, io.Combo.Input)):
            return rng.choice([*TEXTS, *getattr(item, "options", None)] if isinstance(item, io.Combo.Input) else TEXTS)
        return rng.choice({"IMAGE": IMAGES, "MASK": MASKS, "BOUNDING_BOX": BOXES}.get(item.io_type, STRANGE))

    return value


def test_hostile_inputs_are_input_errors(
    pack: Callable[[str], ModuleType], nano: Nano, pool: Callable, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """5,080 cases: a good call of every node with one to three inputs exchanged for others."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path / "models"))
    pictures, faces, subjects = (pack(f"nodes.{name}_nodes") for name in ("reference", "face", "subject"))
    graphs, sampling = pack("nodes.conditioning_nodes"), pack("nodes.sampling_nodes")
    model, clip, vae = nano
    hat = Attribute(phrase="hat", image=PICTURE)
    man = Subject(name="man", face=PICTURE, attributes=(hat,))
    graph, prompt, _ = graphs.RelationGraphNode.execute(clip, "a man in a hat", {"subject_1": man}).args
    references, latent = graphs.EncodeReferences.execute(graph, vae, 64, 48, 5).args
    positive = clip.encode_from_tokens_scheduled(clip.tokenize(prompt))
    attribute = {"image": IMAGES[0], "phrase": "hat", "box": "", "points": "", "sam": "none", "margin": 0.1, "mask": MASKS[0]}
    face = {"choice": "largest", "index": 1, "x": 2, "y": 2, "margin": 0.1, "pack": "buffalo_l", "bboxes": box()}
    sampler = {"seed": 1, "steps": 1, "cfg": 1.0, "shift": 3.0, "solver": "euler", "latent": latent, "positive": positive}
    calls: list[tuple[Any, dict[str, Any], int]] = [
        (faces.FaceReferenceNode, {"image": IMAGES[0], **face, "crop": "box"}, 400),
        (pictures.AttributeReferenceNode, {**attribute, "cut_out": "mask"}, 400),
        (pictures.AttributeReferenceNode, {**attribute, "cut_out": "already cut out"}, 200),
        (pictures.AttributeReferenceNode, {**attribute, "cut_out": "segment", "mask": None, "bboxes": box()}, 200),
        (pictures.SceneReferenceNode, {"image": IMAGES[0], "phrase": "room", "margin": 0.1}, 300),
        (subjects.SubjectNode, {"name": "man", "attributes": {"attribute_1": hat}}, 300),
        (graphs.RelationGraphNode, {"clip": clip, "prompt": "a man in a hat", "subjects": {"subject_1": man}}, 100),
        (graphs.EncodeReferences, {"graph": graph, "vae": vae, "width": 64, "height": 48, "length": 5}, 100),
        (sampling.Scheduler, {"steps": 4, "shift": 3.0}, 200),
        (sampling.Solver, {"solver": "euler"}, 60),
        (sampling.Apply, {"model": model, "references": references}, 100),
        (sampling.Sampler, {"model": model, "references": references, "negative": positive, **sampler}, 100),
        (pack("nodes.inspection_nodes").Inspect, {"graph": graph, "references": references}, 40),
        (pack("nodes.loading_nodes").SampleFolder, {"sample": "one_person_in_a_room"}, 40),
    ]
    rng, refused, cases = random.Random(5), 0, 0
    monkeypatch.setattr(pictures.ui, "PreviewImage", lambda *_, **__: None)  # many files
    for node, good, count in calls:
        inputs = {item.id: item for item in node.define_schema().inputs}
        for _ in range(2 * count):
            given = dict(good)
            for name in rng.sample(sorted(inputs), min(len(inputs), rng.choice([1, 1, 2, 3]))):
                given[name] = pool(inputs[name], rng)
            start = time.monotonic()
            try:
                node.execute(**given)
            except InputError as error:
                refused += 1
                assert len(str(error)) < 1000, f"{node.__name__}: {str(error)[:300]}"
            except Exception as error:
                changed = {name: repr(value)[:80] for name, value in given.items() if value is not good.get(name)}
                raise AssertionError(f"{node.__name__} with {changed}: {type(error).__name__}: {error}") from error
            taken, cases = time.monotonic() - start, cases + 1
            assert taken < LONGEST_S, f"{node.__name__} took {taken:.1f} s"
    assert cases == 5080 and 3000 < refused < 4800, f"{refused} of {cases} were refused"


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("image", grid(1, 8, 8, 3, value=200, dtype=torch.uint8), "holds uint8 values, expected float values from 0 to 1"),
        ("image", grid(1, 8, 8, 3, value=200.0), "values from 200 to 200, expected 0 to 1; values up to 255 are divided"),
        ("image", grid(1, 8, 8, 3, value=NAN), "values from nan to nan"),
        ("image", torch.zeros(1).expand(1, 100_000, 100_000, 3), "at most 16384 pixels on a side"),
        ("image", None, "image is empty, expected IMAGE"),
        ("mask", grid(1, 0, 0), r"shape \[1, 0, 0\], expected \[masks, height, width\], each at least 1"),
        ("mask", grid(1, 8, 8, value=NAN), "the mask has values from nan"),
        ("mask", "hat", "mask is 'hat', expected MASK"),
        ("margin", NAN, "margin is nan, expected a number from 0.0 to 2.0"),
        ("margin", 1e9, "margin is 1000000000.0, expected a number from 0.0 to 2.0"),
        ("occurrence", torch.zeros(3), "occurrence is tensor"),
        ("phrase", "red\x00hat", r"phrase holds the character U\+0000, which is no text"),
        ("tag", "hat" * 20_000, "tag has 60000 characters"),
        ("invert_mask", "yes", "invert_mask is 'yes', expected true or false"),
        ("cut_out", "scissors", "cut_out is 'scissors', expected one of mask, segment, already cut out"),
    ],
)
def test_every_kind_says_its_input(pack: Callable[[str], ModuleType], kind: str, value: Any, message: str) -> None:
    good = {"image": IMAGES[0], "phrase": "hat", "cut_out": "mask", "box": "", "points": "", "sam": "none", "margin": 0.0}
    with pytest.raises(InputError, match=message):
        pack("nodes.reference_nodes").AttributeReferenceNode.execute(**{**good, "mask": MASKS[0], kind: value})


def test_a_margin_that_asks_for_gigabytes_allocates_nothing(pack: Callable[[str], ModuleType]) -> None:
    tensors = pack("nodes.image_tensors")
    with pytest.raises(InputError, match="the cut-out has 60000x48010 pixels, at most 178,956,970 are made; give a smaller"):
        tensors.cut_by_mask(Image.new("RGB", (12_000, 10)), np.ones((10, 12_000), dtype=np.float32), 2.0)


def test_numbers_of_numpy_and_torch_are_numbers(pack: Callable[[str], ModuleType]) -> None:
    tensors = pack("nodes.image_tensors")
    found = tensors.boxes_of(box(x=torch.tensor(2.0), y=np.float32(3), width=np.int64(4), height=np.array(5)), 1)
    assert found == [[(2.0, 3.0, 6.0, 8.0)]]
    (sigmas,) = pack("nodes.sampling_nodes").Scheduler.execute(np.int64(2), torch.tensor(3.0)).args
    assert sigmas.tolist() == pytest.approx([1.0, 0.75, 0.0])


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (torch.zeros(0, 16, 2, 6, 8), r"\[0, 16, 2, 6, 8\] of torch.float32, expected float values of at least one video"),
        (torch.zeros(1, 16, 2, 6, 8, dtype=torch.int64), "of torch.int64, expected float values"),
        (torch.full((1, 16, 2, 6, 8), NAN), "the latent holds NaN or infinite values"),
        (torch.zeros(1, 4, 6, 8), "expected .batch, 16, frames, height, width. of a Wan2.1 video"),
    ],
)
def test_latents_that_are_none(
    pack: Callable[[str], ModuleType], bridge: ModuleType, samples: torch.Tensor, message: str
) -> None:
    references = bridge.EncodedReferences(
        latents=torch.zeros(1, 16, 6, 8), kinds=("face",), subjects=(0,), levels=torch.zeros(1, 4), frames=2
    )
    with pytest.raises(InputError, match=message):
        pack("nodes.comfy_sampling").check_latent({"samples": samples}, references)
