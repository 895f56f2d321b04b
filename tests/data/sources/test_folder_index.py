import numpy as np

from thawline.data.sources.folder_index import scan


def test_index_takes_and_splits(tmp_path) -> None:
    for name in ("train/a/0.png", "train/b/0.png", "val/b/0.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    index = scan(tmp_path)
    assert index.paths.dtype.kind == "U"
    assert {split: list(indices) for split, indices in index.splits().items()} == {"train": [0, 1], "val": [2]}
    kept = index.take(np.array([1, 2]))
    assert list(kept.paths) == ["train/b/0.png", "val/b/0.png"]
    assert {split: list(indices) for split, indices in kept.splits().items()} == {"train": [0], "val": [1]}
