"""Make what a config node names by `_target_`: the only place that instantiates."""

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException

from thawline.errors import UserError, first_line
from thawline.runs.literal import literal

# What a wrong config node makes the target raise: no such name, a wrong argument, a value it does not take.
_NODE_ERRORS = (ImportError, AttributeError, TypeError, ValueError, MisconfigurationException)


def make(node: Any, key: str, **extra: Any) -> Any:
    """Make the object that a config node names; what is wrong with the node becomes one line, a defect stays one."""
    try:
        return instantiate(literal(node), **extra)  # Hydra resolves a node, then reads its values, which resolves again
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from error
        if cause is None or isinstance(cause, _NODE_ERRORS):
            reason = first_line(cause or error)
            raise UserError(f"{key}: {node.get('_target_')} cannot be made ({reason})") from error
        raise cause from error
