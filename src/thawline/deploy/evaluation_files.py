"""What an evaluation leaves: evaluation.json, predictions.csv, and where they lie."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from thawline.deploy.evaluated import Against, Evaluated, run_of
from thawline.deploy.evaluation import Scores, confused_pairs
from thawline.deploy.gallery import Shown
from thawline.deploy.loaded import Model
from thawline.printable import printable
from thawline.report.place_of_report import place_of_report

EVALUATIONS_FOLDER = "evaluations"  # in that of a run, or of a model
EVALUATION_FILE = "evaluation.json"
EVALUATION_PAGE = "evaluation.html"
ANSWERS_FILE = "predictions.csv"
_SCHEMA = 1


def default_folder(model_place: Path, images: Path, split: str | None) -> Path:
    """RUN/evaluations/NAME; NAME is that of the images, with a number where another place has the same name.

    An evaluation of the same images again replaces the earlier one.
    """
    place = images.resolve()
    name = place.name if images.is_dir() else place.stem
    name = name if split is None or split == name else f"{name}-{split}"
    first = run_of(model_place) / EVALUATIONS_FOLDER / (name or "images")
    return place_of_report(first, place, file=EVALUATION_FILE, section="data")


def evaluation_json(
    evaluated: Evaluated, other: Against | None, *, mistakes: Sequence[Shown], uncertain: Sequence[Shown], made: str
) -> str:
    """Every number of the page; `made` says when and by which version."""
    names = evaluated.model.class_names
    body = {
        "schema": _SCHEMA,
        "made": made,
        "model": about_model(evaluated.folder, evaluated.model),
        "data": {
            "where": printable(evaluated.source.where.resolve()),
            "split": evaluated.source.split,
            "images": evaluated.scores.images,
            "unknown_classes": evaluated.match.unknown,
            "absent_classes": evaluated.match.absent,
            "unreadable": {printable(path): reason for path, reason in evaluated.unreadable.items()},
            "notes": evaluated.notes,
        },
        **_measured(evaluated.scores, names),
        "worst_mistakes": [asdict(one) for one in mistakes],
        "least_certain": [asdict(one) for one in uncertain],
        "against": None if other is None else _against(other),
    }
    return json.dumps(body, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def about_model(folder: Path, model: Model) -> dict[str, Any]:
    """Which model it is."""
    origin, built = model.description.provenance, model.description.architecture
    return {
        "folder": printable(folder),
        "run_id": origin.run_id,
        "strategy": origin.strategy,
        "backbone": built.backbone,
        "sha256": model.description.sha256,
        "class_names": list(model.class_names),
    }


def _measured(measured: Scores, names: Sequence[str]) -> dict[str, Any]:
    pairs = confused_pairs(measured.confusion, names)
    return {
        "metrics": summary_metrics(measured),
        "accuracy": asdict(measured.accuracy),
        "calibration": asdict(measured.calibration),
        "classes": [asdict(one) for one in measured.classes],
        "confusion": {"class_names": list(names), "counts": measured.confusion},
        "most_confused": [{"truth": truth, "label": label, **asdict(of)} for truth, label, of in pairs],
        "reliability": [asdict(one) for one in measured.bins],
        "risk_coverage": [{"coverage": c, "accuracy": a} for c, a in measured.risk_coverage],
        "thresholds": [asdict(one) for one in measured.thresholds],
    }


def summary_metrics(measured: Scores) -> dict[str, float | None]:
    """One number each."""
    return {
        "accuracy": measured.accuracy.value,
        "balanced_accuracy": measured.balanced_accuracy,
        "macro_f1": measured.macro_f1,
        "auroc": measured.auroc,
        "log_loss": measured.log_loss,
        "calibration_error": measured.calibration.after,
    }


def _against(other: Against) -> dict[str, Any]:
    return {
        "model": about_model(other.folder, other.model),
        "images": other.paired.images,
        "metrics": {"this": summary_metrics(other.this), "other": summary_metrics(other.other)},
        "mcnemar": asdict(other.paired),
        "only_this_right": [printable(path) for path in other.only_this],
        "only_other_right": [printable(path) for path in other.only_other],
        "notes": other.notes,
    }


def answers_csv(evaluated: Evaluated) -> str:
    """One row an image, the unreadable ones last: `path,label,probability,entropy,truth,truth_probability,error`."""
    names, p = evaluated.model.class_names, np.exp(evaluated.log_probabilities)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "label", "probability", "entropy", "truth", "truth_probability", "error"))
    rows = zip(evaluated.paths, p, evaluated.guesses, evaluated.labels, evaluated.entropies, strict=True)
    for path, row, guess, truth, entropy in rows:
        numbers = f"{row[guess]:.6f}", f"{max(entropy, 0.0):.6f}"
        writer.writerow((printable(path), names[guess], *numbers, names[truth], f"{row[truth]:.6f}", ""))
    for path, reason in evaluated.unreadable.items():
        writer.writerow((printable(path), "", "", "", "", "", reason))
    return text.getvalue()
