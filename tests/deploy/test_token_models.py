"""Models of backbones with a class token, which a stack reads beside averages over cells, also once they are loaded."""

from pathlib import Path

import pytest

import thawline
from thawline.models.pooling import CLASS_TOKEN
from thawline.report.run_record import RECORD_FILE, load_record

TINY = ("model.name=test_vit", "model.weights=none", "model.image_size=32", "data=folder", "data.batch_size=8")
TINY += ("data.num_workers=0", "trainer.accelerator=cpu", "trainer.max_epochs=1", "strategy.unfreeze_depth=1")


@pytest.mark.parametrize("strategy", ["stacked_probe", pytest.param("blend", marks=pytest.mark.slow)])
def test_a_stack_with_a_class_token_predicts_as_it_was_tested(
    colour_folder: Path, tmp_path: Path, strategy: str
) -> None:
    depth = () if strategy == "blend" else ("strategy.unfreeze_depth=0",)
    places = (f"data.root={colour_folder}", f"output_dir={tmp_path / 'out'}", f"cache.dir={tmp_path / 'cache'}")
    thawline.train([*TINY, *places, f"strategy={strategy}", *depth])
    (run,) = (path.parent for path in (tmp_path / "out").rglob(RECORD_FILE))
    model = thawline.load(run, accelerator="cpu")
    assert CLASS_TOKEN in model.description.architecture.feature_grids
    paths = sorted((colour_folder / "test").glob("*/*.png"))
    right = [prediction.label == path.parent.name for prediction, path in zip(model.predict(paths), paths, strict=True)]
    assert sum(right) / len(right) == pytest.approx(load_record(run / RECORD_FILE).metrics["test/accuracy"])
