"""Bad input ends in one clear line on stderr and exit code 2; nothing of the user's is touched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thawline.commands.command_line import run_main, slug
from thawline.commands.path_overrides import quoted_path
from thawline.machine.run_progress import Progress
from thawline.report.run_record import RunRecord
from thawline.runs.context import MADE, new_dir
from thawline.runs.unstarted import remove_unstarted

Run = Callable[..., Any]


def refused(result: Any) -> str:
    """The one line that a refused command leaves on stderr."""
    lines = result.err.strip().splitlines()
    assert result.code == 2, result.err
    assert len(lines) == 1, result.err
    assert lines[0].startswith("error: ")
    assert "Traceback" not in result.out
    return str(lines[0])


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        (
            "scenario=small_diferent",
            "scenario=small_diferent: no such scenario; did you mean small_different? allowed are",
        ),
        ("strategy=partial", "strategy=partial: no such strategy; did you mean partial_fine_tune?"),
        ("data=solar", "data=solar: no such data; did you mean solar_cells?"),
        ("model=resnet18", "any timm model: model.name=NAME model.weights=hub, none or FILE"),
        ("model/head=mpl", "model/head=mpl: no such head; did you mean mlp?"),
        ("strategy.unfreeze_dept=2", "strategy.unfreeze_dept: no such key; did you mean unfreeze_depth?"),
        ("optim.lr=fast", "optim.lr=fast: give a number, such as 0.001"),
        ("optim.lr=-1", "optim.lr=-1.0: allowed are 0 to 10"),
        ("optim.name=adam", "optim.name=adam: allowed are adamw, sgd, lbfgs"),
        ("model.head=mlp", "model.head=mlp: choose a head with model/head=linear, mlp or cosine"),
        ("compile=maybe", "compile=maybe: allowed are auto, true, false"),
        ("compile=1", "compile=1: allowed are auto, true, false"),
        ("trainer.precision=8", "trainer.precision=8: allowed are auto, 32-true, bf16-mixed"),
        ("trainer.max_steps=0", "trainer.max_steps=0: allowed are 1 to"),
        ("trainer.max_epochs=0", "trainer.max_epochs=0: allowed are 1 to"),
        ("trainer.max_epochs=-1", "trainer.max_epochs=-1: allowed are 1 to"),
        ("trainer.val_check_interval=0", "trainer.val_check_interval=0: allowed are 1 to"),
        ("trainer.log_every_n_steps=0", "trainer.log_every_n_steps=0: allowed are 1 to"),
        ("+trainer.limit_val_batches=0", "trainer.limit_val_batches=0: allowed are 1 to"),
        ("+trainer.limit_train_batches=1.5", "trainer.limit_train_batches=1.5: a share lies above 0 and up to 1.0"),
        ("+trainer.fast_dev_run=true", "trainer.fast_dev_run=True: it leaves no checkpoint; use trainer.max_steps=2"),
        ("model.image_size=0", "model.image_size=0: allowed are 8 to 4096"),
        ("sweep.resume=true", "sweep.resume=true: goes on with a sweep, so add -m; with one run goes on resume=RUN"),
        ("seed=-1", "seed=-1: allowed are whole numbers from 0"),
        ("seed=abc", "seed=abc: allowed are whole numbers from 0"),
        ("optim=sgd", "optim.lr has no value; give one with optim.lr=VALUE"),
        ("trainer.devices=0", "trainer.devices=0: allowed are 1 to"),
        ("trainer.devices=all", "trainer.devices=all: give a whole number, such as 1"),
        (
            "trainer.strategy=fsdp",
            "so freeze in place of it: strategy.unfreeze_depth=4 or strategy=lora (memory of ViT-L and ViT-g: "
            "docs/transformers.md); allowed are auto, ddp",
        ),
        ("trainer.strategy=FSDP2", "trainer.strategy=FSDP2: it shards frozen and training parameters alike; what is"),
        ("trainer.strategy=deepspeed_stage_3", "trainer.strategy=deepspeed_stage_3: it shards frozen and training"),
        ("trainer.strategy=dpp", "trainer.strategy=dpp: allowed are auto, ddp"),
        ("strategy=gradual_unfreezing strategy.phases=[{from_epoch:0,stages:[head]}]", "thaw_every=1: have no effect"),
        ("trainer.num_nodes=0", "trainer.num_nodes=0: allowed are 1 to 1024"),
        ("+trainer.use_distributed_sampler=true", "Thawline gives every process its own batches; remove it"),
        ("strategy.batchnorm=freeze", "strategy.batchnorm=freeze: allowed are train, eval"),
        ("strategy.parameters=weights", "strategy.parameters=weights: allowed are all, norm, bias"),
        ("strategy.stages=[99]", "strategy.unfreeze_depth=2: has no effect beside strategy.stages"),
        ("strategy=surgical strategy.stages=[99]", "strategy.stages=99: tf_efficientnet_lite0 has no such stage"),
        ("optim.schedule=linear", "optim.schedule=linear: allowed are cosine, constant, one_cycle, plateau"),
        ("regularize=l2", "regularize=l2: no such regularize; did you mean l2_sp?"),
        ("regularize.l2_sp=-1", "regularize.l2_sp=-1.0: allowed are 0 to 1000"),
        ("regularize.wise_ft=2", "regularize.wise_ft=2: allowed are 0 to 1"),
        ("regularize.wise_ft=[]", "regularize.wise_ft=[]: a number from 0 to 1, or a list of them"),
        ("strategy=from_scratch regularize=wise_ft", "mixes with pretrained weights, and there are none"),
        ("optim.lr=0 strategy=lp_ft", "optim.lr=0: a phase of the freeze plan sets 0.0003 in its place"),
        ("+trainer.limit_val_batches=0.001", "trainer: You requested to check 0.001 of the `val_dataloader`"),
        ("strategy=surgical strategy.stages=[]", "strategy.stages names no stage; for the head only, use"),
        ("regularize.wise_ft=most", "regularize.wise_ft=most: a number from 0 to 1, or a list of them"),
        ("strategy=from_scratch regularize=l2_sp", "regularize.l2_sp=0.01: pulls towards pretrained weights"),
        ("resume=no/such/run", "error: resume=no/such/run: no run lies there (no run.json)"),
        (
            "resume=r/checkpoints/last.ckpt",
            "error: resume=r/checkpoints/last.ckpt: give the folder of the run, resume=r",
        ),
        ("+trainer.no_such=1", "trainer: lightning.Trainer cannot be made"),
        ("data.batch_size=0", "data.batch_size=0: allowed are 1 to 65536"),
        ("data.keep_decoded=maybe", "data.keep_decoded=maybe: allowed are auto, true, false"),
        ("data.augment=lots", "data.augment=lots: write data.augment=none"),
        ("model.name=resnet19", "model.name=resnet19: timm has no such model; did you mean resnet18"),
        ("model.name=resnet18", "model.weights=embedded: no package ships weights for resnet18"),
        ("model.weights=imagenet", "model.weights=imagenet: not a file; allowed are embedded, hub, none"),
        ("strategy.unfreeze_depth=-1", "strategy.unfreeze_depth=-1: tf_efficientnet_lite0 has 9 stages; allowed are 0"),
        ("strategy.unfreeze_depth=10", "strategy.unfreeze_depth=10: tf_efficientnet_lite0 has 9 stages; allowed are 0"),
        ("strategy.unfreeze_depth=some", "strategy.unfreeze_depth=some: tf_efficientnet_lite0 has 9 stages"),
        ("model.head._target_=no.such.Head", "model.head: no.such.Head cannot be made"),
    ],
)
def test_a_wrong_value_names_the_key_the_value_and_what_is_allowed(
    run_cli: Run, image_folder: Path, argument: str, says: str
) -> None:
    data = () if argument.startswith("data=") else ("data=folder", f"data.root={image_folder}")
    assert says in refused(run_cli(*data, *argument.split()))


def test_an_unset_root_says_how_to_set_it(run_cli: Run) -> None:
    assert "data.root" in refused(run_cli("data=folder"))


def test_a_missing_root_is_named(run_cli: Run, tmp_path: Path) -> None:
    assert f"data.root={tmp_path / 'nowhere'}" in refused(run_cli("data=folder", f"data.root={tmp_path / 'nowhere'}"))


def test_an_empty_root_is_named(run_cli: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert f"data.root={tmp_path / 'empty'}" in refused(run_cli("data=folder", f"data.root={tmp_path / 'empty'}"))


def test_one_class_only_is_named(run_cli: Run, image_folder: Path) -> None:
    for image in (image_folder / "dogs").iterdir():
        image.unlink()
    (image_folder / "dogs").rmdir()
    line = refused(run_cli("data=folder", f"data.root={image_folder}"))
    assert "cats" in line
    assert "two class" in line


def test_what_is_no_override_or_no_group_is_told(run_cli: Run, image_folder: Path) -> None:
    line = refused(run_cli(str(image_folder)))
    folder = f"python train.py scenario=auto data=folder data.root={image_folder}"
    assert f"{image_folder}: write key=value; for a folder of images: {folder}; see --help" in line
    assert "else: write key=value; see --help" in refused(run_cli("else"))
    advised = run_cli("data=digits", "strategy=fine_tune", script="scripts/advise.py")
    assert "strategy: no such group for this command; its groups: --help" in refused(advised)


def test_a_class_with_too_few_images_is_named(run_cli: Run, image_folder: Path) -> None:
    for image in sorted((image_folder / "dogs").iterdir())[2:]:
        image.unlink()
    assert "class 'dogs' has 2 distinct images; at least 3" in refused(
        run_cli("data=folder", f"data.root={image_folder}")
    )


def test_an_unreadable_image_is_named_and_left_alone(run_cli: Run, image_folder: Path) -> None:
    broken = image_folder / "cats" / "broken.jpg"
    broken.write_text("<html>404</html>")
    line = refused(run_cli("data=folder", f"data.root={image_folder}"))
    assert "broken.jpg" in line
    assert "data.on_unreadable=skip" in line
    assert broken.read_text() == "<html>404</html>"


def test_an_image_that_breaks_during_training_is_named(
    run_cli: Run, image_folder: Path, tiny_run: tuple[str, ...]
) -> None:
    for image in image_folder.glob("*/*.png"):
        image.write_bytes(image.read_bytes()[:-40])  # every file is cut, and nobody looked before
    arguments = ("data=folder", f"data.root={image_folder}", "data.verify=false", "model.name=test_resnet")
    line = refused(run_cli(*arguments, "model.weights=none", *tiny_run, "data.num_workers=1"))
    assert "unreadable image" in line
    assert ".png" in line


def test_weights_that_do_not_fit_are_named(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    import torch

    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "w.pth")
    arguments = ("data=folder", f"data.root={image_folder}", "model.name=resnet18")
    assert "w.pth do not fit resnet18" in refused(run_cli(*arguments, f"model.weights={tmp_path / 'w.pth'}"))


def test_an_unwritable_output_folder_is_named(run_cli: Run, image_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file, not a folder")
    (tmp_path / "out").symlink_to(tmp_path / "taken")
    line = refused(run_cli("data=folder", f"data.root={image_folder}"))
    assert "cannot write" in line
    assert "output_dir=DIR" in line
    assert (tmp_path / "taken").read_text() == "a file, not a folder"


def test_a_run_that_never_began_leaves_no_folder(run_cli: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "nowhere" in refused(run_cli("data=folder", f"data.root={tmp_path / 'nowhere'}"))
    assert not out.exists()
    out.mkdir()
    assert "nowhere" in refused(run_cli("data=folder", f"data.root={tmp_path / 'nowhere'}"))
    assert list(out.iterdir()) == []  # what was there before stays


def test_a_folder_that_the_command_names_stays(run_cli: Run, tmp_path: Path) -> None:
    import json

    run_cli("data=folder", f"data.root={tmp_path / 'nowhere'}", f"hydra.run.dir={tmp_path / 'named'}")
    record = json.loads((tmp_path / "named" / "run.json").read_text())
    assert record["status"] == "failed"
    assert "nowhere" in record["error"]


@pytest.mark.parametrize(
    ("made", "others", "doing", "stays"),
    [
        (True, [], "preparing", False),
        (True, ["train.log", "config.yaml", "splits.csv", ".lock"], "preparing", False),
        (True, ["notes.txt"], "preparing", True),
        (True, ["checkpoints/last.ckpt"], "preparing", True),
        (True, [], "training", True),
        (False, [], "preparing", True),
    ],
)
def test_only_a_folder_of_this_process_with_nothing_else_in_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: bool, others: list[str], doing: str, stays: bool
) -> None:
    monkeypatch.setattr("thawline.runs.unstarted.MADE", MADE if made else {})
    folder = Path(new_dir(str(tmp_path / "out" / "scenario" / "run")))
    RunRecord("run", "small_similar", 0, status="failed", progress=Progress(doing)).save(folder)
    for name in others:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    remove_unstarted(folder)
    assert folder.exists() == (tmp_path / "out").exists() == stays
    assert not stays or {path.name for path in folder.iterdir()} == {"run.json", *(o.split("/")[0] for o in others)}


def test_debug_shows_the_traceback(run_cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from thawline.errors import UserError

    monkeypatch.setenv("THAWLINE_DEBUG", "1")
    with pytest.raises(UserError, match=r"data\.root"):
        run_cli("data=folder")


def test_stochastic_weight_averaging_with_frozen_batchnorm_is_refused(
    run_cli: Run, image_folder: Path, tiny_run: tuple[str, ...]
) -> None:
    swa = "+callbacks.swa={_target_:lightning.pytorch.callbacks.StochasticWeightAveraging,swa_lrs:0.001}"
    line = refused(run_cli("data=folder", f"data.root={image_folder}", swa, *tiny_run))
    assert "StochasticWeightAveraging changes frozen weights or BatchNorm statistics, of 7 stages in some epoch" in line


def test_ctrl_c_ends_in_one_line_and_exit_code_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["train.py"])

    def interrupted() -> None:
        raise KeyboardInterrupt

    assert run_main(interrupted) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ("scenario=small_similar,strategy.unfreeze_depth=2", "scenario=small_similar_unfreeze_depth=2"),
        ("data.root=/a/b c", "root=-a-b-c"),
        ("model/head=mlp", "head=mlp"),
        ("", "run"),
    ],
)
def test_sweep_folders_are_named_after_their_overrides(overrides: str, name: str) -> None:
    assert slug(overrides) == name


@pytest.mark.parametrize(
    ("given", "quoted"),
    [
        ("resume=outputs/0_unfreeze_depth=2", 'resume="outputs/0_unfreeze_depth=2"'),
        ("output_dir=a=b", 'output_dir="a=b"'),
        ("resume='a=b'", "resume='a=b'"),
        ("resume=outputs/run", "resume=outputs/run"),
        ("optim.lr=1", "optim.lr=1"),
    ],
)
def test_paths_with_an_equals_sign_need_no_quotes(given: str, quoted: str) -> None:
    assert quoted_path(given) == quoted
