"""How well the unknown score tells images of other sources from a model's test images: the table of docs/model.md.

python scripts/evidence/unknown_sources.py            # runs that are there already are kept
python scripts/evidence/unknown_sources.py --render   # the table of what is there
"""

import argparse
import json
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image

import thawline
from how_calibrated import about
from thawline.atomic import write_atomically
from thawline.data.sources.animal_silhouettes import AnimalSilhouettes
from thawline.data.sources.digits import Digits
from thawline.data.sources.photo_crops import PhotoCrops
from thawline.data.sources.solar_cells import SolarCells
from thawline.data.sources.source import ImageSource
from thawline.data.sources.textile import Textile
from thawline.data.sources.ultrasound_phantom import UltrasoundPhantom
from thawline.data.splits import complete_splits
from thawline.markdown import markdown_table
from thawline.report.run_record import RunRecord, load_record

ROOT = Path(__file__).resolve().parents[2]
MOST_IMAGES = 200  # of a source's test images; chosen: the standard error of an AUROC of 0.9 is then 0.02
STRATEGIES = ("stacked_probe", "feature_extraction")  # which store the features of every stage, or of the last
SEED = 0
FEW = {"num_train": 560, "num_val": 120, "num_test": 120}  # of the phantom, which makes as many images as one likes
SOURCES: dict[str, ImageSource] = {
    "solar_cells": SolarCells(num_images=800),
    "photo_crops": PhotoCrops(num_train=560, num_val=120, num_test=120),
    "digits": Digits(num_images=None),
    "textile": Textile(num_images=None),
    "ultrasound_phantom": UltrasoundPhantom(**FEW),
    "animal_silhouettes": AnimalSilhouettes(num_images=None),
}
Scores = dict[str, tuple[list[float], list[bool]]]  # source -> of its test images: unknown scores, called unknown


def main() -> None:
    """Train and score what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output-dir", type=Path, default=ROOT / "outputs" / "unknown_sources")
    parser.add_argument("--render", action="store_true", help="run nothing")
    given = parser.parse_args()
    records, rows = [], []
    for name, strategy in product(SOURCES, STRATEGIES):
        place = given.output_dir / f"{name}_{strategy}"
        if not given.render and not (place / "scores.json").is_file():
            _score(place, name, strategy)
        if (place / "scores.json").is_file():
            record = load_record(_run_of(place) / "run.json")
            records.append(record)
            rows.append(_row(name, record, json.loads((place / "scores.json").read_text(encoding="utf-8"))))
    heads = ("trained on", "strategy", "classes", "stage", "left-out classes", *SOURCES, "known called unknown")
    print(about(records), markdown_table(heads, rows, align="llrlr" + "r" * len(SOURCES) + "r"), sep="\n\n")


def _run_of(place: Path) -> Path:
    return next(path.parent for path in sorted(place.rglob("run.json")) if load_record(path).status == "completed")


def _score(place: Path, name: str, strategy: str) -> None:
    """Train on the source, and score test images of all."""
    thawline.train(
        [
            "scenario=small_different", f"data={name}", f"strategy={strategy}", f"seed={SEED}",
            "model.image_size=96", "data.num_workers=0", f"output_dir={place}",
            *(f"data.source.{key}={number}" for key, number in FEW.items() if name == "ultrasound_phantom"),
        ]
    )  # fmt: skip
    model = thawline.load(_run_of(place))
    scores: Scores = {}
    for other, source in SOURCES.items():
        answers = model.predict(_test_images(source))
        scores[other] = (
            [answer.unknown_score or 0.0 for answer in answers],
            [bool(answer.unknown) for answer in answers],
        )
    write_atomically(place / "scores.json", json.dumps(scores))


def _test_images(source: ImageSource) -> list[Image.Image]:
    """Those of the test split that a run makes by default, evenly spread where there are many."""
    splits = complete_splits(
        source.splits,
        labels=source.labels,
        groups=source.groups,
        class_names=source.class_names,
        val_fraction=0.15,
        test_fraction=0.15,
        seed=0,
    )
    places = np.linspace(0, len(splits["test"]) - 1, min(MOST_IMAGES, len(splits["test"]))).round().astype(int)
    return [source.load(int(splits["test"][place])) for place in places]


def _row(name: str, record: RunRecord, scores: Scores) -> tuple[str, ...]:
    """AUROC and, in brackets, the share that is called unknown, for every other source."""
    from sklearn.metrics import roc_auc_score

    known, called = scores[name]
    cells = []
    for other in SOURCES:
        unknown, noticed = scores[other]
        truth = [0] * len(known) + [1] * len(unknown)
        auroc = roc_auc_score(truth, [*known, *unknown]) if other != name else None
        cells.append("-" if auroc is None else f"{auroc:.3f} ({100 * np.mean(noticed):.0f} %)")
    left_out = f"{record.calibration.unknown_auroc:.3f}"
    return (
        name,
        record.strategy.name,
        str(record.data.num_classes),
        record.calibration.unknown_stage or "-",
        left_out,
        *cells,
        f"{100 * np.mean(called):.1f} % of {len(known)}",
    )


if __name__ == "__main__":
    main()
