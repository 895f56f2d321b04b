"""What a completed run leaves: a model that answers as the run's test did, without the run."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from model_json import read_values, write_values
from PIL import Image

import thawline
from thawline.deploy.described import provenance_of
from thawline.deploy.description_file import read_description
from thawline.deploy.inference import precision_of
from thawline.deploy.loaded import model_folder
from thawline.deploy.portable import read_model, sha256_of, write_model
from thawline.errors import UserError
from thawline.models.load_checkpoint import load_checkpoint
from thawline.report.run_record import RunRecord, load_record

Made = Callable[[str], Path]
STRATEGIES = ("feature_extraction", "partial_fine_tune", "multi_layer_probe", "stacked_probe", "blend")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_loaded_model_reproduces_the_accuracy_of_the_runs_test(
    made: Made, colour_folder: Path, strategy: str
) -> None:
    run = made(strategy)
    model = thawline.load(run, accelerator="cpu")
    paths = sorted((colour_folder / "test").glob("*/*.png"))
    answers = model.predict(paths, batch=5)
    right = sum(answer.label == path.parent.name for answer, path in zip(answers, paths, strict=True))
    record = load_record(run / "run.json")
    assert right / len(paths) == pytest.approx(record.metrics["test/accuracy"], abs=1e-6)
    assert [answer.path for answer in answers] == [str(path) for path in paths]
    model.net.temperature.fill_(1.0)
    labels = torch.tensor([model.class_names.index(path.parent.name) for path in paths])
    log_probabilities, _ = model.net.answers(torch.stack([model.prepare(path) for path in paths]))
    loss = torch.nn.functional.nll_loss(log_probabilities, labels)
    assert float(loss) == pytest.approx(record.metrics["test/loss"], rel=1e-4)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_folder_holds_the_tested_weights_each_tensor_once(made: Made, strategy: str) -> None:
    run = made(strategy)
    description, tensors = read_model(run / "model")
    tested = load_checkpoint(run / "checkpoints" / "best.ckpt")["state_dict"]
    assert {name for name in tensors if not name.startswith("unknown.")} == set(tested)
    assert all(torch.equal(tensors[name], tested[name]) for name in tested)
    assert bool(description.shared) == (strategy == "blend")  # its pretrained copy shares the frozen stages
    assert sorted(path.name for path in (run / "model").iterdir()) == ["README.md", "model.json", "model.safetensors"]
    assert description.class_names == ["blue", "green", "red"]


def test_the_batch_size_changes_no_label_and_hardly_a_probability(made: Made, colour_folder: Path) -> None:
    model = thawline.load(made("blend"), accelerator="cpu", precision="32-true")
    paths = sorted((colour_folder / "test").glob("*/*.png"))
    one, many = model.predict(paths, batch=1), model.predict(paths, batch=64)
    assert [a.label for a in one] == [a.label for a in many]
    assert max(abs(a.probability - b.probability) for a, b in zip(one, many, strict=True)) < 1e-5


def test_paths_images_and_arrays_get_the_same_answer_and_damage_is_a_row(
    made: Made, colour_folder: Path, tmp_path: Path
) -> None:
    model = thawline.load(made("stacked_probe"), accelerator="cpu")
    path = colour_folder / "test" / "red" / "0.png"
    bad = tmp_path / "bad.png"
    bad.write_bytes(path.read_bytes()[:50])
    image = Image.open(path)
    answers = model.predict([path, image, np.array(image), bad, model.prepare(path)])
    assert len({(a.label, a.probability) for a in (*answers[:3], answers[4])}) == 1
    assert (answers[3].label, answers[3].probability) == (None, None)
    assert str(answers[3].error).startswith(f"unreadable image {bad}:")
    assert sum(p for _, p in answers[0].top) == pytest.approx(1.0)  # three classes: all of them
    assert answers[0].entropy == pytest.approx(-sum(p * np.log(p) for _, p in answers[0].top), abs=1e-4)


def test_a_folder_is_its_images(made: Made, colour_folder: Path, tmp_path: Path) -> None:
    model = thawline.load(made("stacked_probe"), accelerator="cpu")
    folder, one = colour_folder / "test", colour_folder / "val" / "red" / "0.png"
    paths = sorted(folder.glob("*/*.png"), key=lambda path: path.parts)
    answers = model.predict([one, folder])
    assert [answer.path for answer in answers] == [str(path) for path in (one, *paths)]
    assert [answer.path for answer in model.predict(str(folder))] == [str(path) for path in paths]
    with pytest.raises(UserError, match="holds no image"):
        model.predict(tmp_path)


def test_the_log_of_the_run_ends_with_what_the_terminal_showed(made: Made) -> None:
    log = (made("stacked_probe") / "train.log").read_text(encoding="utf-8")
    box = log[log.rindex("Thawline: small_different") :]
    assert "strategy" in box
    assert "balanced" in box
    assert box.splitlines()[-1].startswith("compare  tensorboard --logdir ")


def test_loading_and_predicting_imports_neither_lightning_nor_hydra_and_needs_no_run(
    copied: Path, colour_folder: Path
) -> None:
    image = colour_folder / "test" / "red" / "0.png"
    code = f"""
import sys, thawline
print(thawline.load({str(copied)!r}).predict({str(image)!r})[0].label)
heavy = {{"lightning", "hydra", "omegaconf", "torchmetrics"}}
print(sorted({{name.partition(".")[0] for name in sys.modules}} & heavy))
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split("\n")
    assert output[0] in ("blue", "green", "red")
    assert output[1] == "[]"


def test_damage_is_one_line_that_names_the_file(copied: Path, tmp_path: Path) -> None:
    weights, about = copied / "model.safetensors", copied / "model.json"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.safetensors: its SHA-256 is not that of model\.json"):
        thawline.load(copied)
    weights.unlink()
    with pytest.raises(UserError, match=r"model\.safetensors: missing"):
        thawline.load(copied)
    values = read_values(copied)
    write_values(copied, {**values, "schema": 99})
    with pytest.raises(UserError, match="schema 99 is newer than 1, which this version reads; update thawline"):
        thawline.load(copied)
    about.write_text("{")
    with pytest.raises(UserError, match=r"model\.json: not JSON"):
        thawline.load(copied)
    del values["architecture"]
    write_values(copied, values)
    with pytest.raises(UserError, match=r"not a complete description of a model \(.*architecture"):
        thawline.load(copied)
    with pytest.raises(UserError, match="no such folder; give the folder of a completed run, or a model folder"):
        thawline.load(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no model/model\.json; give the folder"):
        thawline.load(tmp_path / "empty")


def test_a_folder_of_runs_names_the_newest_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for age, run in enumerate(("auto/new/rungs/1_blend", "auto/new", "auto/old", "multirun/s/0")):
        file = Path("outputs", run, "model", "model.json")
        file.parent.mkdir(parents=True)
        file.touch()
        os.utime(file, (1000 - age, 1000 - age))
    for given, newest in (
        ("outputs/auto", "the newest one below outputs/auto is outputs/auto/new"),
        ("outputs/auto/gone", "the newest one below outputs/auto is outputs/auto/new"),
        ("outputs/multirun", "the newest one below outputs/multirun is outputs/multirun/s/0"),
    ):
        with pytest.raises(UserError, match=f"a model folder; {newest}$"):
            model_folder(Path(given))


def test_a_run_without_a_model_says_why(made: Made, tmp_path: Path) -> None:
    record = load_record(made("stacked_probe") / "run.json")
    for status, reason in (
        ("failed", "the run is failed"),
        ("running", "the run is running"),
        ("completed", "earlier"),
    ):
        replace(record, status=status).save(tmp_path)
        with pytest.raises(UserError, match=reason):
            thawline.load(tmp_path)


def test_weights_of_another_shape_and_code_that_is_not_trusted_are_refused(copied: Path, tmp_path: Path) -> None:
    description, tensors = read_model(copied)
    write_model(tmp_path / "narrow", description, {**tensors, "head.biases": tensors["head.biases"][:, :2]})
    with pytest.raises(UserError, match=r"the weights do not fit the description of the model: head\.biases"):
        thawline.load(tmp_path / "narrow")
    head = replace(description.architecture.head, target="tests.evil.Head")
    foreign = replace(description, architecture=replace(description.architecture, head=head))
    write_model(tmp_path / "foreign", foreign, tensors)
    with pytest.raises(UserError, match=r"head is tests\.evil\.Head, code outside Thawline.*trust=true"):
        thawline.load(tmp_path / "foreign")
    with pytest.raises(UserError, match=r"tests\.evil\.Head cannot be imported"):
        thawline.load(tmp_path / "foreign", trust=True)


def test_a_description_is_read_as_it_was_written_and_later_keys_are_left_out(copied: Path, tmp_path: Path) -> None:
    description, tensors = read_model(copied)
    write_model(tmp_path / "again", description, tensors)
    assert read_description(tmp_path / "again") == description
    assert sha256_of(tmp_path / "again" / "model.safetensors") == description.sha256
    write_values(copied, {**read_values(copied), "later": 1})
    assert read_description(copied) == description
    assert precision_of(description.architecture).trainer in ("32-true", "bf16-mixed")


def test_the_card_names_classes_input_licence_and_numbers(copied: Path) -> None:
    card, description = (copied / "README.md").read_text(), read_description(copied)
    for part in ("blue, green, red", "32 x 32", "licence:", description.provenance.data_fingerprint, "test/accuracy"):
        assert part in card


@pytest.mark.parametrize(
    ("weights", "stated"), [("embedded", "apache-2.0"), ("hub", "apache-2.0"), ("w.pth", "not stated")]
)
def test_a_licence_is_that_of_the_weights_that_were_taken(weights: str, stated: str) -> None:
    backbone = SimpleNamespace(model=SimpleNamespace(pretrained_cfg={"license": "apache-2.0"}), name="x")
    record = RunRecord("r", "custom", 0)
    record.model.weights = weights
    assert provenance_of(record, cast(Any, backbone)).licence.startswith(stated)
