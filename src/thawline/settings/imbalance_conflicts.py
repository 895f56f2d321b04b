"""What `imbalance` and `select` cannot go with; refused before anything is loaded."""

from thawline.errors import UserError
from thawline.settings.imbalance_setting import NONE, WEIGHTS
from thawline.settings.run_settings import Settings
from thawline.settings.select_setting import AUTO, resolve_select, rule_of
from thawline.settings.tested_weights_setting import RULE_LAST


def refuse_beside_imbalance(given: Settings) -> None:
    """Refuse what cannot be done, and what would have no effect.

    Raises:
        UserError: A way that a solver does not have, or a score that selects nothing.
    """
    if given.optim.solves and given.imbalance not in (NONE, WEIGHTS):
        raise UserError(
            f"imbalance={given.imbalance}: changes the steps of a training, and optim={given.optim.name} solves for "
            "the head on all images at once; use imbalance=weights, or a strategy that trains with optim=adamw"
        )
    _refuse_idle_select(given)


def _refuse_idle_select(given: Settings) -> None:
    if given.select == AUTO:
        return
    if given.tested_weights not in (AUTO, RULE_LAST, rule_of(given.select)):
        other = resolve_select(AUTO, tested_weights=given.tested_weights)
        raise UserError(
            f"select={given.select}: tested_weights={given.tested_weights} selects by {other}; leave one of them out"
        )
    has_stack = given.optim.name == "ridge" or given.strategy.stack_share > 0
    if given.tested_weights == RULE_LAST and not has_stack and len(given.regularize.wise_ft_shares) == 1:
        raise UserError(
            f"select={given.select}: has no effect beside tested_weights=last, which tests the last weights whatever "
            "their score; use tested_weights=auto"
        )
