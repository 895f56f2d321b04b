"""A run on a table, and a run on the table that it leaves."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TINY = ("scenario=small_similar", "data=table", "model.name=test_resnet", "model.weights=none")


def test_a_run_leaves_a_table_that_gives_the_same_split_again(
    run_cli, tiny_run: tuple[str, ...], tmp_path: Path
) -> None:
    root = tmp_path / "images, (1)"
    (root / "x").mkdir(parents=True)
    lines = ["path,label"]
    for i in range(40):
        noise = np.random.default_rng(i // 2).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        noise[0, 0] = i % 2
        Image.fromarray(noise).save(root / "x" / f"p{i // 2:02}_{i % 2}.png")
        lines.append(f'x/p{i // 2:02}_{i % 2}.png,"{("cat, big", "dog")[i // 2 % 2]}"')
    (root / "t.csv").write_text("\n".join(lines))
    tables = []
    for arguments in ((f"data.file={root}/t.csv", r"data.group_by=p(\d+)_", "data.max_images=32"), None):
        given = arguments or (f"data.file={folder}/splits.csv", f"data.root={root}")  # noqa: F821
        folder = tmp_path / "out" / f"run{len(tables)}"
        done = run_cli(*TINY, *tiny_run, *given, f"hydra.run.dir={folder}")
        assert done.code == 0, done.err
        tables.append(list(csv.DictReader((folder / "splits.csv").open())))
    assert len(tables[0]) == 32
    assert {row["label"] for row in tables[0]} == {"cat, big", "dog"}
    split_of = {}
    for row in tables[0]:
        assert row["group"] == Path(row["path"]).name[1:3]
        assert split_of.setdefault(row["group"], row["split"]) == row["split"]
    assert sorted(row["path"] + row["split"] for row in tables[0]) == sorted(
        row["path"] + row["split"] for row in tables[1]
    )


def test_the_table_of_a_run_names_files_of_any_name(run_cli, tiny_run: tuple[str, ...], tmp_path: Path) -> None:
    """A byte that is no UTF-8, a line end, a tab, and a code that turns a terminal red."""
    root = tmp_path / "images"
    for number, name in enumerate(["caf\udce9", "new\nline\r\n", "tab\tthere", "\x1b[31mred", "back\\slash"]):
        (root / name).mkdir(parents=True)
        for i in range(6):
            noise = np.random.default_rng(10 * number + i).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / name / f"{i}.png")
    made = []
    for given in (("data=folder", f"data.root={root}"), ("data=table", f"data.file={tmp_path}/0/splits.csv")):
        folder = tmp_path / str(len(made))
        more = (f"data.root={root}",) if made else ()
        result = run_cli("scenario=small_similar", *TINY[2:], *tiny_run, *given, *more, f"hydra.run.dir={folder}")
        assert result.code == 0, result.err
        made.append((folder / "splits.csv").read_bytes().splitlines())
    assert sorted(made[0]) == sorted(made[1])
    assert b"caf\xe9" in b"".join(made[0])


@pytest.mark.parametrize(
    "how",
    [
        "strategy=stacked_probe",
        pytest.param("strategy=feature_extraction", marks=pytest.mark.slow),
        pytest.param("strategy=full_fine_tune", marks=pytest.mark.slow),
        pytest.param("cache.enabled=false", marks=pytest.mark.slow),
    ],
)
def test_where_labels_contradict_each_other_the_heavy_ones_are_learned(run_cli, tmp_path: Path, how: str) -> None:
    """Of every colour half the training images are called by it, with weight 9, and half by the other, with 1."""
    (tmp_path / "x").mkdir()
    lines, rng = ["path,label,split,weight"], np.random.default_rng(0)
    for i in range(120):
        red, true = i % 2, i // 2 % 2 == 0
        pixels = rng.integers(0, 60, (32, 32, 3), dtype=np.uint8)
        pixels[:, :, 0 if red else 2] += 150
        Image.fromarray(pixels).save(tmp_path / "x" / f"{i}.png")
        split = "train" if i < 80 else "val" if i < 100 else "test"
        label = ("blue", "red")[red if true or split != "train" else 1 - red]
        lines.append(f"x/{i}.png,{label},{split},{9 if true else 1}")
    (tmp_path / "t.csv").write_text("\n".join(lines))
    tiny = ("model.image_size=32", "data.batch_size=8", "data.num_workers=0", "data.augment=none")
    tiny += ("data=table", "model.name=test_resnet", "model.weights=none", "trainer.accelerator=cpu")
    result = run_cli(*tiny, f"data.file={tmp_path}/t.csv", how, "trainer.max_epochs=4", f"hydra.run.dir={tmp_path}/run")
    assert result.code == 0, result.err
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["metrics"]["test/accuracy"] == 1.0
