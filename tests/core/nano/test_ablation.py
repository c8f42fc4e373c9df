"""The ablation: what each setting changes, and the whole command at its smallest size."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from lumosx_core.cli.main import main
from lumosx_core.data.latent_dataset import Batch
from lumosx_core.data.latent_shards import NOBODY
from lumosx_core.errors import InputError
from lumosx_core.model.config import PRESETS
from lumosx_core.model.token_layout import TokenLayout
from lumosx_core.model.transformer import LumosXTransformer
from lumosx_core.nano.ablation import DEBUG_PLAN, SETTINGS, AblationPlan, Setting, ablated_loss, known_settings
from lumosx_core.training.losses import Draw, PublishedLoss


def draw() -> Draw:
    """Two people with a thing each on a grid of 2 x 4 x 6 tokens; every picture has words of its own."""
    generator = torch.Generator().manual_seed(3)
    kinds, subjects = ("face", "attribute", "face", "attribute"), (0, 0, 1, 1)
    config = PRESETS["debug"]
    levels = torch.zeros(2, 4, config.text_len)
    for picture in range(4):
        levels[:, picture, 3 * picture : 3 * picture + 2] = 1
    batch = Batch(
        video=torch.randn(2, 16, 2, 8, 12, generator=generator),
        references=torch.randn(2, 4, 16, 8, 12, generator=generator),
        context=torch.randn(2, config.text_len, config.text_dim, generator=generator),
        levels=levels,
        owners=torch.full((2, 2, 4, 6), NOBODY, dtype=torch.int8),
        layout=TokenLayout(2, 4, 6, kinds=kinds, subjects=subjects),
    )
    noise = torch.randn(batch.video.shape, generator=generator)
    return Draw(batch=batch, noise=noise, timestep=torch.tensor([300.0, 700.0]))


def random_model(ratio: float) -> LumosXTransformer:
    """The same one every time."""
    torch.manual_seed(0)
    model = LumosXTransformer(replace(PRESETS["debug"], multilevel_ratio=ratio, multilevel_pool=DEBUG_PLAN.pool))
    for block in model.blocks:  # fresh weights are so small that a bias hardly shows
        block.get_submodule("cross_attn.v").weight.data.mul_(20)
    return model


def loss_of(setting: Setting, given: Draw) -> torch.Tensor:
    """[2], of `random_model`."""
    with torch.no_grad():
        return ablated_loss(setting, DEBUG_PLAN)(random_model(setting.options.ratio or 0.0), given).samples


def with_order(given: Draw, order: list[int]) -> Draw:
    batch = given.batch
    return replace(given, batch=replace(batch, references=batch.references[:, order], levels=batch.levels[:, order]))


def test_full_is_the_published_loss_and_every_setting_another() -> None:
    given = draw()
    with torch.no_grad():
        published = PublishedLoss()(random_model(0.5), given).samples
    plain = {name: loss_of(setting, given) for name, setting in SETTINGS.items() if not (setting.grounding or setting.shuffled)}
    assert torch.equal(plain["full"], published)
    values = [tuple(value.tolist()) for value in plain.values()]
    assert len(set(values)) == len(values) == 8


def test_what_has_no_multilevel_mask_does_not_see_whose_the_words_are() -> None:
    given = draw()
    blind = replace(given, batch=replace(given.batch, levels=torch.zeros_like(given.batch.levels)))
    for name in ("none", "positions", "positions_mask"):
        assert torch.equal(loss_of(SETTINGS[name], given), loss_of(SETTINGS[name], blind)), name
    for name in ("weak", "full", "multilevel"):
        assert not torch.equal(loss_of(SETTINGS[name], given), loss_of(SETTINGS[name], blind)), name


def test_shuffled_pictures_come_in_an_order_that_only_the_noise_decides() -> None:
    given = draw()
    shuffled = loss_of(SETTINGS["none_shuffled"], given)
    orders = [list(order) for order in itertools.permutations(range(4))]
    equal = [order for order in orders if torch.equal(loss_of(SETTINGS["none"], with_order(given, order)), shuffled)]
    assert len(equal) == 1
    assert torch.equal(shuffled, loss_of(SETTINGS["none_shuffled"], given))
    with pytest.raises(InputError, match="shuffled only without relations"):
        ablated_loss(replace(SETTINGS["full"], shuffled=True), DEBUG_PLAN).check(
            LumosXTransformer(PRESETS["debug"]), gradient_checkpointing=False
        )


@pytest.mark.parametrize("name", ["none_grounded", "full_grounded"])
def test_grounding_is_asked_of_the_video_with_and_without_the_mask(name: str) -> None:
    """Attention that is the same everywhere gives a picture 24 of 48 + 4 * 24 tokens: a loss of log 6."""
    given = draw()
    owners = torch.full_like(given.batch.owners, 2)
    model = random_model(SETTINGS[name].options.ratio or 0.0)
    for block in model.blocks:
        for value in block.get_submodule("self_attn.q").parameters():
            value.data.zero_()
    plan = replace(DEBUG_PLAN, blocks=(0, 1))
    loss = ablated_loss(SETTINGS[name], plan)(model, replace(given, batch=replace(given.batch, owners=owners)))
    assert float(loss.figures["grounding"].detach()) == pytest.approx(math.log(6), abs=1e-5)
    assert float(loss.total.detach()) == pytest.approx(float(loss.samples.detach().mean()) + 0.2 * math.log(6), abs=1e-4)


def test_settings_by_name_and_plans_that_differ(tmp_path: Path) -> None:
    assert known_settings(["full", "none"]) == ["none", "full"] and known_settings(None) == list(SETTINGS)
    with pytest.raises(InputError, match="unknown setting 'fulll'; the settings are none, "):
        known_settings(["fulll"])
    DEBUG_PLAN.begin(tmp_path)
    DEBUG_PLAN.begin(tmp_path)
    with pytest.raises(InputError, match="an ablation with other numbers"):
        AblationPlan().begin(tmp_path)


def test_the_command_goes_on_where_it_was_and_tells_what_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["train", "ablation", "--out", str(out), "--debug", "--seeds", "1", "--workers", "1", "--settings"]
    assert main([*command, "none"]) == 0
    first = json.loads((out / "ablation.json").read_text("utf-8"))
    assert list(first["settings"]) == ["none"] and first["differences"] == {} and "full" in first["missing"]
    times = {path: path.stat().st_mtime_ns for path in (out / "none-0").rglob("*.safetensors")}
    assert times
    assert main([*command, "none", "full"]) == 0
    report = json.loads((out / "ablation.json").read_text("utf-8"))
    assert list(report["settings"]) == ["none", "full"] and report["settings"]["none"] == first["settings"]["none"]
    assert {path: path.stat().st_mtime_ns for path in times} == times
    for row in report["settings"].values():
        assert row["runs"] == 1 and 0.1 < row["loss"]["mean"] < 10
        assert row["bound"]["all"]["cases"] == 3 and row["bound"]["same"]["cases"] == 1
    assert set(report["differences"]) == {"all", "told", "clothes", "same"}
    full, none = (json.loads((out / f"{name}-0" / "model" / "pipeline.json").read_text()) for name in ("full", "none"))
    assert full["relational_positions"] and not none["relational_positions"] and not none["causal_self_attention_mask"]
    assert Image.open(out / "ablation.png").height == 74 + 2 * 46 + 44
    assert "| no relations | 1 | " in (out / "ablation.md").read_text("utf-8")
    assert f"table          {out / 'ablation.md'}" in capsys.readouterr().out
