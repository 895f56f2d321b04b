"""The section `inspection` of run.json."""

from dataclasses import dataclass, field


@dataclass
class InspectionSection:
    """What reading the images showed: the number of issues of each kind, and sentences on those that need a look.

    Attributes:
        first: Whether this run was the first on these images, and logged the sentences.
    """

    issues: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    first: bool = False
