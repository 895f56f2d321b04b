"""The advice in sentences: what was measured, what the matrix says, what overrules it, and how sure that is."""

from thawline.advisor.evidence import Evidence
from thawline.advisor.recommend import BEYOND, SECOND_OPINION, SIMILAR, Recommendation, allows, matrix_choice
from thawline.advisor.sizes import LARGE, SMALL
from thawline.settings.advise_settings import BudgetSettings


def reasons(evidence: Evidence, found: Recommendation, *, budget: BudgetSettings) -> list[str]:
    """Why `found` was recommended, one sentence or two each."""
    told = [*_seen(evidence, found), _against_the_matrix(found, budget), *_beyond(found, budget)]
    return [*told, _how_sure(evidence, found)]


def _seen(evidence: Evidence, found: Recommendation) -> list[str]:
    size, side = found.cell.split("_")
    told = [
        f"{evidence.num_train:,} training images in {evidence.num_classes} classes: {size} "
        f"(the matrix calls fewer than {SMALL:,} small, more than {LARGE:,} large)."
    ]
    if evidence.distance is None:
        told.append("This backbone carries no statistics of its source: the domain distance is not known.")
    else:
        told.append(
            f"Domain distance {evidence.distance:.2f} (0 is the source, 1 is noise): "
            f"{'similar to' if side == 'similar' else 'different from'} what the backbone was trained on (below "
            f"{SIMILAR:g} counts as similar)."
        )
    judged = "the validation images" if evidence.shifted else "folds of the training images and the validation images"
    told.append(
        f"On {judged} a linear probe gets {evidence.last:.3f} from the last stage and {evidence.all_stages:.3f} from "
        f"all stages together; calling everything the largest class, {evidence.majority:.3f}."
    )
    if evidence.pilot is not None:
        told.append(
            f"In the pilot, the last two stages, trained for seconds, get {evidence.pilot:.3f} of images right that "
            "they have not seen."
        )
    if evidence.shifted:
        told.append(
            "Probes do otherwise on the validation images than on folds of the training images (the table), by more "
            "than chance: the validation images alone judge."
        )
    return told


def _against_the_matrix(found: Recommendation, budget: BudgetSettings) -> str:
    own, best = matrix_choice(found.cell), found.best
    theirs = next((choice for choice in found.choices if choice.option.name == own), None)
    says = f"The matrix says {own} here"
    if found.cell.startswith("medium"):
        says = f"The matrix is silent between its sizes, and says {own} for fewer images"
    if own == best.option.name:
        return f"{says}; so does what the {found.num_tasks} tasks swept before foretell from this evidence."
    if theirs is None:
        return f"{says}, for which this backbone has too few stages."
    if not allows(budget, theirs.price):
        return f"{says}; overruled: it is beyond the budget."
    return (
        f"{says}; overruled: {found.num_tasks} tasks swept before foretell {best.expected.accuracy:.3f} for "
        f"{best.option.name} here, and {theirs.expected.accuracy:.3f} for {own}."
    )


def _beyond(found: Recommendation, budget: BudgetSettings) -> list[str]:
    names = [choice.option.name for choice in found.choices if not allows(budget, choice.price)]
    return [f"Beyond {budget}: {', '.join(names)}."] if names else []


def _how_sure(evidence: Evidence, found: Recommendation) -> str:
    if found.rival is None:
        return "Nothing else is within the budget."
    best, ahead = found.best.option.name, f"{found.confidence:.0%}"
    if found.second is None:
        return f"Sure: {best} is ahead of every other option with a probability of {ahead} at least."
    second = f"{found.second.option.name} ({found.second.price.seconds:.0f} s)"
    if evidence.num_train > BEYOND * found.most_images:
        return (
            f"Not sure: the tasks swept before had {found.most_images:,} training images at the most, and more images "
            f"may favour what trains more. Run {best} and {second}."
        )
    unsure = f"Not sure: {best} is ahead of {found.rival.option.name} with a probability of {ahead} only. Run {best}"
    if found.second.option.name != SECOND_OPINION:
        return f"{unsure} and {second}."
    return (
        f"{unsure} and {second}: on other tasks, the one of these that validated better did about as well as a sweep "
        "of everything."
    )
