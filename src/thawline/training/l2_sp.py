"""L2-SP: a pull of the training weights towards the pretrained ones."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


def squared_distance(parameters: Mapping[str, Tensor], start: Mapping[str, Tensor]) -> Tensor:
    """Half the squared Euclidean distance between parameters and where they started; a scalar, differentiable."""
    terms = [(parameter - start[name]).pow(2).sum() for name, parameter in parameters.items()]
    return 0.5 * torch.stack(terms).sum() if terms else torch.zeros(())


class StartingPoint:
    """Values of parameters as they are now, kept beside them; part of no module and of no checkpoint.

    Source of the penalty: Li, Grandvalet and Davoine 2018, "Explicit Inductive Bias for Transfer Learning with
    Convolutional Networks" (L2-SP). The head, which has no pretrained weights, keeps its weight decay.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self._parameters = dict(parameters)
        self._start = {name: parameter.detach().clone() for name, parameter in parameters.items()}

    def penalty(self) -> Tensor:
        """`squared_distance` of the parameters that train at the moment; the others have not moved or cannot."""
        training = {name: p for name, p in self._parameters.items() if p.requires_grad}
        for name, parameter in training.items():
            self._start[name] = self._start[name].to(parameter.device)  # once, after the model has moved
        return squared_distance(training, self._start)
