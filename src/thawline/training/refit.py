"""A stack, solved once more with the validation images: they set nothing that leaving rows out does not set better."""

from thawline.features.expected import SHIFTED_FROM, Expected, standard_errors_apart
from thawline.features.stack import Stack
from thawline.training.stack_solver import StackRows
from thawline.training.stack_sums import StackSums


def solve_both(train: StackRows, val: StackRows) -> tuple[Stack, Expected, str]:
    """`refit`, after a stack of the training images alone was measured on the validation images."""
    alone = train.solved()
    return refit(train, val, left_out=alone.accuracy, validated=val.accuracy_of(alone))


def refit(
    train: StackRows | StackSums, val: StackRows | StackSums, *, left_out: float | None, validated: float
) -> tuple[Stack, Expected, str]:
    """The stack of all rows, the accuracy to expect of it on new images, and why it is so made.

    Where the validation images differ from the training images, they alone set what is free, for a stack of the
    training images; with these settings it is fitted on all.

    Args:
        left_out: Accuracy on training rows that were left out, by a stack of the training rows.
        validated: Accuracy of the same stack on the validation images.
    """
    num_train, num_val = train.num_left_out, val.num_groups
    both = train.with_others(val)  # type: ignore[arg-type]  # both are of one kind
    apart = 0.0 if left_out is None else standard_errors_apart(left_out, num_train, other=validated, num_others=num_val)
    if abs(apart) > SHIFTED_FROM:
        why = "solved once more on training and validation images; the latter alone judged"
        stack = both.refitted(train.solved(judges=val))  # type: ignore[arg-type]
        return stack, Expected.of(validated, num_val, by="validation"), why
    stack = both.solved()
    expected = Expected.of(stack.accuracy, both.num_left_out, by=both.left_out_by)
    return stack, expected, "solved once more on training and validation images"
