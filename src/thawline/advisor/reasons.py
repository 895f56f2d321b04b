"""The advice in sentences: the measurements, the matrix, what overrules the matrix, and how sure the advice is."""

from thawline.advisor.evidence import Evidence
from thawline.advisor.recommend import BEYOND, SECOND_OPINION, SIMILAR, Recommendation, allows, matrix_choice
from thawline.advisor.sizes import LARGE, SMALL
from thawline.settings.advise_settings import BudgetSettings


def reasons(evidence: Evidence, advice: Recommendation, *, budget: BudgetSettings) -> list[str]:
    """The reasons for a recommendation, one or two sentences each."""
    names = [choice.option.name for choice in advice.choices if not allows(budget, choice.price)]
    beyond = [f"Beyond {budget}: {', '.join(names)}."] if names else []
    return [*_measurements(evidence, advice), _matrix(advice, budget), *beyond, _how_sure(evidence, advice)]


def _measurements(evidence: Evidence, advice: Recommendation) -> list[str]:
    size, side = advice.cell.split("_")
    sentences = [
        f"{evidence.num_train:,} training images in {evidence.num_classes} classes: {size} "
        f"(the matrix calls fewer than {SMALL:,} small, more than {LARGE:,} large)."
    ]
    if evidence.distance is None:
        sentences.append("This backbone carries no statistics of its source: the domain distance is not known.")
    else:
        sentences.append(
            f"Domain distance {evidence.distance:.2f} (0 is the source, 1 is noise): "
            f"{'similar to' if side == 'similar' else 'different from'} what the backbone was trained on (below "
            f"{SIMILAR:g} counts as similar)."
        )
    images = "the validation images" if evidence.shifted else "folds of the training images and the validation images"
    sentences.append(
        f"On {images} a linear probe gets {evidence.last:.3f} from the last stage and {evidence.all_stages:.3f} from "
        f"all stages together; calling everything the largest class, {evidence.majority:.3f}."
    )
    if evidence.pilot is not None:
        sentences.append(
            f"In the pilot, the last two stages, trained for seconds, get {evidence.pilot:.3f} of images right that "
            "they have not seen."
        )
    if evidence.shifted:
        sentences.append(
            "Probes do otherwise on the validation images than on folds of the training images (the table), by more "
            "than chance: the validation images alone judge."
        )
    return sentences


def _matrix(advice: Recommendation, budget: BudgetSettings) -> str:
    by_matrix, best = matrix_choice(advice.cell), advice.best
    choice = next((choice for choice in advice.choices if choice.option.name == by_matrix), None)
    says = f"The matrix says {by_matrix} here"
    if advice.cell.startswith("medium"):
        says = f"The matrix is silent between its sizes, and says {by_matrix} for fewer images"
    if by_matrix == best.option.name:
        return f"{says}; so does what the {advice.num_tasks} tasks swept before foretell from this evidence."
    if choice is None:
        return f"{says}, for which this backbone has too few stages."
    if not allows(budget, choice.price):
        return f"{says}; overruled: it is beyond the budget."
    return (
        f"{says}; overruled: {advice.num_tasks} tasks swept before foretell {best.expected.accuracy:.3f} for "
        f"{best.option.name} here, and {choice.expected.accuracy:.3f} for {by_matrix}."
    )


def _how_sure(evidence: Evidence, advice: Recommendation) -> str:
    if advice.rival is None:
        return "Nothing else is within the budget."
    best, ahead = advice.best.option.name, f"{advice.confidence:.0%}"
    if advice.second is None:
        return f"Sure: {best} is ahead of every other option with a probability of {ahead} at least."
    second = f"{advice.second.option.name} ({advice.second.price.seconds:.0f} s)"
    if evidence.num_train > BEYOND * advice.most_images:
        return (
            f"Not sure: the tasks swept before had {advice.most_images:,} training images at the most, and more images "
            f"may favour what trains more. Run {best} and {second}."
        )
    unsure = f"Not sure: {best} is ahead of {advice.rival.option.name} with a probability of {ahead} only. Run {best}"
    if advice.second.option.name != SECOND_OPINION:
        return f"{unsure} and {second}."
    return (
        f"{unsure} and {second}: on other tasks, the one of these that validated better did about as well as a sweep "
        "of everything."
    )
