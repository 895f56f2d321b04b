"""The training loss where classes differ in size: weighted or focal cross-entropy, or logits that are adjusted."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thawline.settings.imbalance_setting import FOCAL, LOGIT_ADJUST, WEIGHTS

FOCAL_POWER = 2.0  # Lin et al. 2017, "Focal Loss for Dense Object Detection": the best of 0 to 5 there
PRIOR_POWER = 1.0  # tau; Menon et al. 2021: 1 is consistent for the balanced error


def class_weights(counts: Tensor) -> Tensor:
    """Weights with which every class that has images weighs the same, and images have a mean weight of 1.

    >>> class_weights(torch.tensor([6, 2]))
    tensor([0.6667, 2.0000])

    Args:
        counts: Images of each class, (K,), integer.
    Returns:
        (K,), float32; 0 for a class without images. As scikit-learn's `class_weight="balanced"`.
    """
    present = int((counts > 0).sum())
    shares = counts.double() * present / counts.sum()
    return torch.where(counts > 0, 1.0 / shares, 0.0).float()


def log_prior(counts: Tensor) -> Tensor:
    """Log of the classes' shares of the images, (K,), float32, <= 0.

    A class without images gets 0 and not minus infinity: so training pushes its logit down as without a prior.
    """
    shares = counts.double() / counts.sum()
    return torch.where(counts > 0, shares.log(), 0.0).float()


class ClassLoss(nn.Module):
    """Mean over the images of a cross-entropy that does not let the large classes count for everything.

    >>> loss = ClassLoss("weights", torch.tensor([6, 2]))
    >>> loss(torch.zeros(2, 2), torch.tensor([0, 1]))  # log 2 times the mean of 2/3 and 2
    tensor(0.9242)

    Args:
        kind: `weights`: an image's loss times the weight of its class. `focal`: times (1 - p)^2, p the probability of
            its class. `logit_adjust`: the log of the classes' shares is added to the logits in training only, so that
            without it they tell equally frequent classes apart.
        counts: Training images of each class, (K,), integer.
    Sources: Menon et al. 2021, "Long-Tail Learning via Logit Adjustment", equation 10; Lin et al. 2017, equation 4.
    """

    def __init__(self, kind: str, counts: Tensor, *, label_smoothing: float = 0.0) -> None:
        super().__init__()
        assert kind in (WEIGHTS, FOCAL, LOGIT_ADJUST), kind
        self.weights: Tensor
        self.prior: Tensor
        self.kind, self.label_smoothing = kind, label_smoothing
        # They follow the device and are in no checkpoint: the data say them again.
        self.register_buffer("weights", class_weights(counts), persistent=False)
        self.register_buffer("prior", PRIOR_POWER * log_prior(counts), persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Scalar.

        Args:
            logits: (B, K), float32.
            targets: Class indices (B,), int64, or shares of the classes (B, K), as mixed images have.
        """
        if targets.ndim == 1:
            targets = F.one_hot(targets, logits.shape[1])
        if self.kind == LOGIT_ADJUST:
            logits = logits + self.prior
        logs = logits.log_softmax(1)
        smooth = self.label_smoothing
        of_class = -((1.0 - smooth) * logs + smooth * logs.mean(1, keepdim=True))  # (B, K): if that class were right
        if self.kind == WEIGHTS:
            of_class = of_class * self.weights
        elif self.kind == FOCAL:
            of_class = of_class * (-logs.expm1()) ** FOCAL_POWER
        return (targets * of_class).sum(1).mean()
