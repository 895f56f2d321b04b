"""Every scenario composes and runs a few steps on its own data; every strategy and data source composes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from thawline.runs.composed import resolve
from thawline.runs.config import loader_settings, model_settings, optim_settings, strategy_settings

CONF = Path(__file__).resolve().parents[2] / "conf"
Run = Callable[..., Any]


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@pytest.mark.parametrize(
    ("scenario", "data", "strategy", "depth"),
    [
        ("small_similar", "photo_crops: 800 images (560 train, 120 val, 120 test)", "feature_extraction", "0"),
        ("small_different", "solar_cells: 800 images (560 train, 120 val, 120 test)", "partial_fine_tune", "2"),
        pytest.param("large_similar", "photo_crops: 120,000 images", "fine_tune", "all", marks=pytest.mark.slow),
        pytest.param(
            "large_different", "ultrasound_phantom: 120,000 images", "full_fine_tune", "all", marks=pytest.mark.slow
        ),
    ],
)
def test_scenario_runs_on_its_own_data(
    run_cli: Run, tiny_run: tuple[str, ...], scenario: str, data: str, strategy: str, depth: str
) -> None:
    result = run_cli(f"scenario={scenario}", *tiny_run)
    assert result.code == 0, result.err
    assert data in result.out
    assert f"{strategy}, unfreeze_depth {depth} of 9 stages" in result.out
    assert "is meant for" not in result.out  # the size of the data is what the scenario's name says


def test_every_scenario_file_is_tested_above() -> None:
    cells = ["large_different", "large_similar", "small_different", "small_similar"]
    assert options("scenario") == ["auto", *cells]  # auto has tests of its own, in test_advise.py


@pytest.mark.parametrize("strategy", options("strategy"))
def test_settings_of_every_strategy_are_valid(strategy: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"strategy={strategy}", "strategy.unfreeze_depth=3"])
    assert strategy_settings(cfg).name == strategy
    assert strategy_settings(cfg).unfreeze_depth == 3  # a depth sweep works under any strategy
    assert strategy_settings(cfg).pretrained == (strategy != "from_scratch")


def test_strategies_differ_in_what_trains_and_how_fast() -> None:
    rates = {}
    for strategy in options("strategy"):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = resolve(compose("train", [f"strategy={strategy}"]))
        rates[strategy] = optim_settings(cfg).resolved_backbone_lr
    assert rates["fine_tune"] < rates["full_fine_tune"] < rates["from_scratch"]


@pytest.mark.parametrize(
    ("strategy", "key", "value"), [("gradual_unfreezing", "layer_decay", 0.7), ("lp_ft", "restart_at_thaw", True)]
)
@pytest.mark.parametrize("optim", ["adamw", "sgd"])
def test_what_a_strategy_says_of_the_schedule_holds(strategy: str, key: str, value: object, optim: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"strategy={strategy}", f"optim={optim}"])
    assert cfg.optim[key] == value


def test_sgd_takes_its_own_rates() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = resolve(compose("train", ["optim=sgd", "optim.lr=0.05", "optim.backbone_lr=0.005"]))
    assert (optim_settings(cfg).name, optim_settings(cfg).lr) == ("sgd", 0.05)


@pytest.mark.parametrize("strategy", options("strategy"))
def test_the_solver_takes_no_rate_from_a_strategy(strategy: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = resolve(compose("train", ["optim=lbfgs", f"strategy={strategy}"]))
    optim = optim_settings(cfg)
    assert (optim.name, optim.lr, optim.resolved_backbone_lr) == ("lbfgs", 0.0, 0.0)
    assert optim.epochs == len(cfg.optim.penalties)


@pytest.mark.parametrize("data", options("data"))
def test_every_data_source_composes_with_the_shared_loader_settings(data: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"data={data}"])
    assert cfg.data.source._target_.startswith("thawline.data.sources.")
    assert loader_settings(cfg).val_fraction == 0.15
    assert cfg.data.keep_decoded == loader_settings(cfg).keep_decoded == "auto"
    assert model_settings(cfg).weights == "embedded"


@pytest.mark.parametrize("head", options("model/head"))
def test_every_head_composes_with_every_model(head: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for model in options("model"):
            cfg = compose("train", [f"model={model}", f"model/head={head}"])
            assert model_settings(cfg).head["_target_"].lower().endswith(f"{head}head")


def test_folder_under_a_scenario_takes_all_of_the_users_images() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["scenario=small_different", "data=folder", "data.root=x"])
    assert "num_images" not in cfg.data.source
