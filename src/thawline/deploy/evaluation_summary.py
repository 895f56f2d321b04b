"""An evaluation as a few lines for the terminal."""

from collections.abc import Sequence

from thawline.amounts import plural
from thawline.deploy.calibration_error import error_line
from thawline.deploy.evaluated import Against, Evaluated
from thawline.deploy.evaluation import ClassScores, Scores, confused_pairs
from thawline.deploy.evaluation_page import paired_line
from thawline.deploy.evaluation_text import accept_line, score_text, with_interval
from thawline.printable import printable

_LISTED = 3  # classes, confusions and thresholds that are named
_COLUMN = 12  # characters


def summary(evaluated: Evaluated, other: Against | None) -> str:
    """Lines of a name and what there is to say."""
    measured, source, about = evaluated.scores, evaluated.source, evaluated.model.description
    split = f", split {source.split}" if source.split else ""
    present = sum(1 for one in measured.classes if one.images)
    rows = [
        ("model", f"{about.provenance.strategy} on {about.architecture.backbone}, {len(about.class_names)} classes"),
        ("images", f"{measured.images:,} of {plural(present, 'class', 'classes')} in {printable(source.where)}{split}"),
        *(("note", note) for note in evaluated.notes),
        ("accuracy", f"{score_text(measured.accuracy.value)} ({with_interval(measured.accuracy, brackets=False)})"),
        ("", _numbers(measured)),
        ("calibration", f"error {error_line(measured.calibration)}"),
        *_named("weakest", [_weak(one) for one in _weakest(measured)]),
        *_named("confused", _confused(measured, evaluated.model.class_names)),
        *_named("accept", [accept_line(one) for one in measured.thresholds[-_LISTED:]]),
    ]
    if other is not None:
        rows += [("against", printable(other.folder)), *(("note", note) for note in other.notes)]
        rows.append(("", paired_line(other)))
    return "\n".join(f"{name:{_COLUMN}}{text}".rstrip() for name, text in rows)


def _numbers(measured: Scores) -> str:
    values = {
        "balanced": measured.balanced_accuracy,
        "macro-F1": measured.macro_f1,
        "AUROC": measured.auroc,
        "log loss": measured.log_loss,
    }
    return "   ".join(f"{name} {score_text(value)}" for name, value in values.items())


def _weakest(measured: Scores) -> list[ClassScores]:
    present = [one for one in measured.classes if one.recall.value is not None and one.recall.value < 1]
    return sorted(present, key=lambda one: one.recall.value or 0.0)[:_LISTED]


def _weak(one: ClassScores) -> str:
    return f"{one.name}: recall {with_interval(one.recall)}, {one.recall.count} of {one.recall.of}"


def _confused(measured: Scores, names: Sequence[str]) -> list[str]:
    pairs = confused_pairs(measured.confusion, names)[:_LISTED]
    return [f"{truth} taken for {label}: {of.count} of {of.of}" for truth, label, of in pairs]


def _named(name: str, lines: list[str]) -> list[tuple[str, str]]:
    return [(name if not number else "", line) for number, line in enumerate(lines)]
