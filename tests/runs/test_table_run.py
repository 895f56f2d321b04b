"""A run on a table, and a run on the table that it leaves."""

import csv
from pathlib import Path

import numpy as np
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
