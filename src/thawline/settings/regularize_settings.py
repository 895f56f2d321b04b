"""Section `regularize`: against learning a small data set by heart."""

from dataclasses import dataclass
from typing import Any

from thawline.errors import UserError
from thawline.settings.checks import between


@dataclass
class RegularizeSettings:
    """What keeps a small data set from being learned by heart; 0 turns each off."""

    l2_sp: float = 0.0  # weight of the squared distance to the pretrained weights
    label_smoothing: float = 0.0
    mixup: float = 0.0  # alpha of the Beta distribution
    cutmix: float = 0.0  # alpha; with mixup, each batch gets one of the two
    ema_decay: float = 0.0  # of the running average of the weights that is validated and tested
    wise_ft: Any = 1.0  # share of the tuned weights in those that are tested; of a list, the best on validation

    def __post_init__(self) -> None:
        between("regularize.l2_sp", self.l2_sp, 0.0, 1000.0)
        between("regularize.label_smoothing", self.label_smoothing, 0.0, 0.99)
        between("regularize.mixup", self.mixup, 0.0, 100.0)
        between("regularize.cutmix", self.cutmix, 0.0, 100.0)
        between("regularize.ema_decay", self.ema_decay, 0.0, 0.999999)
        if not self.wise_ft_shares:
            raise UserError("regularize.wise_ft=[]: a number from 0 to 1, or a list of them")
        for share in self.wise_ft_shares:
            if isinstance(share, bool) or not isinstance(share, (int, float)):
                raise UserError(f"regularize.wise_ft={self.wise_ft}: a number from 0 to 1, or a list of them")
            between("regularize.wise_ft", share, 0.0, 1.0)

    @property
    def wise_ft_shares(self) -> list[float]:
        return list(self.wise_ft) if isinstance(self.wise_ft, list) else [self.wise_ft]
