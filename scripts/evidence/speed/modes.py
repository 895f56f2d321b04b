"""What the table of training steps varies: trained depth, allocator, arithmetic."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mode:
    """Arithmetic of a step: a column of the table.

    Attributes:
        bf16_prefix: Whether frozen stages compute in bf16.
        training: Of what trains, in the words of `trainer.precision`.
    """

    heading: str
    bf16_prefix: bool
    training: str


MODES = {
    "fp32": Mode("fp32", False, "32-true"),
    "bf16 prefix": Mode("frozen prefix in bf16", True, "32-true"),
    "bf16": Mode("everything in bf16", True, "bf16-mixed"),
}
DEPTHS = {0: "head only", 2: "last 2 stages", 9: "every stage"}
ALLOCATORS = {"default": "glibc's default", "keep": "freed memory kept"}
