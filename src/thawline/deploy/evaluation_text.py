"""Numbers of an evaluation as people read them."""

import math

from thawline.deploy.evaluation import Share, Threshold


def score_text(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def with_interval(of: Share, *, brackets: bool = True) -> str:
    """Such as `0.883 (0.778 to 0.942)`; without brackets `0.778 to 0.942, 53 of 60`."""
    if of.value is None:
        return "-"
    bounds = f"{of.low:.3f} to {of.high:.3f}"
    return f"{of.value:.3f} ({bounds})" if brackets else f"{bounds}, {of.count:,} of {of.of:,}"


def percent(value: float) -> str:
    """Rounded towards 0, so that 100 % means all."""
    tenths = math.floor(value * 1000 + 1e-9) / 10
    return f"{tenths:.0f} %" if tenths == round(tenths) else f"{tenths:.1f} %"


def accept_line(one: Threshold) -> str:
    """Such as `p >= 0.930: 71 % of images at 98 % (98 of 100, 0.930 to 0.994)`."""
    p = math.floor(one.probability * 1000) / 1000  # never above the threshold
    share, right = one.accepted.value or 0.0, one.right.value or 0.0
    return (
        f"p >= {p:.3f}: {percent(share)} of images at {percent(right)} "
        f"({one.right.count:,} of {one.right.of:,}, {one.right.low:.3f} to {one.right.high:.3f})"
    )


def p_text(p_value: float) -> str:
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.4f}" if p_value < 0.1 else f"p = {p_value:.2f}"
