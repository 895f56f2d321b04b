"""Which tokens of a timm model have no place in the image."""

import math

from torch import nn


def num_prefix_tokens(model: nn.Module, num_tokens: int) -> int:
    """Number of tokens before those of the image: class token, distillation token, registers.

    Args:
        num_tokens: All of them, at the place that is asked about. Some models add the class token in a late stage:
            before that all tokens are the image's, which the square of their number shows.
    """
    number = int(getattr(model, "num_prefix_tokens", 0))
    return 0 if _is_square(num_tokens) and not _is_square(num_tokens - number) else number


def has_class_token(model: nn.Module, num_tokens: int) -> bool:
    """Whether the first of so many tokens is a class token."""
    return getattr(model, "cls_token", None) is not None and num_prefix_tokens(model, num_tokens) > 0


def lie_in_order(model: nn.Module) -> bool:
    """Whether the image's tokens lie row by row; Hiera keeps those together that it will pool."""
    return not hasattr(model, "unroll")


def _is_square(number: int) -> bool:
    return number >= 0 and math.isqrt(number) ** 2 == number
