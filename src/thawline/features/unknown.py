"""How far an image lies from every class: distances in whitened features, and the stage where they separate best."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from thawline.features.extract import Tap

_MOST_DIMENSIONS = 128  # that are kept of a stage's features; chosen: below the number of images of a small data set
_FOLDS = 5  # of classes that are left out together, where there are more; chosen: each takes an eigendecomposition
_QUANTILES = 101  # of the distances of known images, one per percent
KNOWN_AS_UNKNOWN = 0.05  # share of images of known classes that may be called unknown; chosen, as usual for tests
_STEP = 1e-6  # of a score: the last digit that files of predictions have
_SMALLEST = 1e-6  # of the largest variance: smaller ones are rounding, and would be blown up


@dataclass(frozen=True)
class KnownClasses:
    """Class means in features that are whitened by the spread inside the classes.

    Attributes:
        centre, projection: (D,) and (D, R): whitened features are (x - centre) @ projection.
        means: (K, R).
    Source: Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples"; the covariance is
    shrunk as by Ledoit and Wolf 2004.
    """

    centre: Tensor
    projection: Tensor
    means: Tensor

    def distances(self, features: Tensor) -> Tensor:
        """Features (N, D) -> distance (N,) to the nearest class, in standard deviations of the classes."""
        return torch.cdist((features - self.centre) @ self.projection, self.means).min(1).values


def fit_known(features: Tensor, labels: Tensor) -> KnownClasses:
    """From features (N, D) and classes (N,); classes without rows have no mean."""
    reduced, centre, axes = _reduced(features.double())
    projection, means = _whitened(reduced, labels)
    return KnownClasses(centre.float(), (axes @ projection).float(), means.float())


def _reduced(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Principal components (N, R), the centre (D,), and the axes (D, R), from the products of the shorter side."""
    centre = features.mean(0)
    rows = features - centre
    wide = rows.shape[0] < rows.shape[1]
    squares, vectors = torch.linalg.eigh(rows @ rows.T if wide else rows.T @ rows)  # rising
    rank = min(int((squares > _SMALLEST * squares[-1]).sum()), _MOST_DIMENSIONS)
    kept, axes = squares[-max(rank, 1) :], vectors[:, -max(rank, 1) :]
    if wide:
        axes = rows.T @ axes / kept.clamp_min(torch.finfo(kept.dtype).tiny).sqrt()
    return rows @ axes, centre, axes


def _whitened(rows: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """What makes the spread inside the classes alike in all directions, (R, R), and the means after it, (K, R)."""
    from sklearn.covariance import ledoit_wolf  # slow to load

    classes, index = torch.unique(labels, return_inverse=True)
    counts = torch.bincount(index, minlength=len(classes)).double()
    means = torch.zeros(len(classes), rows.shape[1], dtype=rows.dtype).index_add_(0, index, rows) / counts[:, None]
    covariance, _ = ledoit_wolf((rows - means[index]).numpy(), assume_centered=True)
    variances, axes = torch.linalg.eigh(torch.from_numpy(covariance).reshape(rows.shape[1], -1))
    projection = axes / variances.clamp(min=_SMALLEST * float(variances.max()) or 1.0).sqrt()
    return projection, means @ projection


def separation(train: tuple[Tensor, Tensor], others: tuple[Tensor, Tensor]) -> float:
    """AUROC of telling images of classes that were left out from images of known ones, mean over the classes' folds.

    What is left out takes no part in anything, as little as images of unknown classes will: with principal components
    of all classes the AUROC was up to 0.15 too high, and a late stage was taken that images of other sources fool.

    Args:
        train: Features (N, D) and classes (N,) that distances are fitted on.
        others: Those of other images, which are told apart.
    """
    from sklearn.metrics import roc_auc_score  # slow to load

    (rows, labels), (new_rows, new_labels) = train, others
    scores = []
    for out in _folds(labels):
        kept, unknown = ~torch.isin(labels, out), torch.isin(new_labels, out)
        if unknown.all() or not unknown.any():
            continue
        distances = fit_known(rows[kept], labels[kept]).distances(new_rows)
        scores.append(float(roc_auc_score(unknown.numpy(), distances.numpy())))
    return sum(scores) / len(scores) if scores else 0.5


def _folds(labels: Tensor) -> Iterator[Tensor]:
    classes = torch.unique(labels)
    number = min(len(classes), _FOLDS)
    if number >= 2:
        yield from (classes[start::number] for start in range(number))


@dataclass(frozen=True)
class Fitted:
    """The stage that separates best.

    Attributes:
        tap: Its output.
        known: Distances there.
        quantiles: Of the distances of images of known classes, (101,), rising.
        auroc: Of `separation`.
        images: Number of images of known classes that quantiles and threshold are of.
        threshold: Score from which on an image is called unknown; None where too few images are known.
    """

    tap: Tap
    known: KnownClasses
    quantiles: Tensor
    auroc: float
    images: int
    threshold: float | None

    @property
    def tensors(self) -> dict[str, Tensor]:
        """As a portable model stores them."""
        known = self.known
        named = {"centre": known.centre, "projection": known.projection, "means": known.means}
        return {f"unknown.{name}": tensor for name, tensor in (named | {"quantiles": self.quantiles}).items()}


def fit_unknown(
    train: Mapping[Tap, Tensor], labels: Tensor, others: Mapping[Tap, Tensor], other_labels: Tensor
) -> Fitted:
    """Choose among the stages in `train` by leaving classes out; `others` has features of other known images."""
    aurocs = {tap: separation((rows, labels), (others[tap], other_labels)) for tap, rows in train.items()}
    best = max(aurocs, key=lambda tap: (aurocs[tap], tap.cut))  # of equals the last stage
    known = fit_known(train[best], labels)
    distances = known.distances(others[best])
    quantiles = distances.quantile(torch.linspace(0, 1, _QUANTILES))
    threshold = unknown_threshold(share_nearer(distances, quantiles))
    return Fitted(best, known, quantiles, aurocs[best], len(distances), threshold)


def unknown_threshold(scores: Tensor, *, share: float = KNOWN_AS_UNKNOWN) -> float | None:
    """The score from which on an image is called unknown, by split conformal prediction.

    A new image of a known class, exchangeable with these, is called unknown with a probability of `share` at most.

    Args:
        scores: Of images of known classes that the distances were not fitted on, (N,), from 0 to 1.
    Returns:
        None where there are too few: 19 are needed for 5 %.
    Source: Vovk, Gammerman and Shafer 2005, "Algorithmic Learning in a Random World", chapter 2.
    """
    rank = math.ceil(round((len(scores) + 1) * (1 - share), 9))  # rounded: 20 * 0.95 may lie above 19
    if rank > len(scores):
        return None
    return min(float(scores.sort().values[rank - 1]) + _STEP, 1.0)  # above 1 nothing lies


def share_nearer(distances: Tensor, quantiles: Tensor) -> Tensor:
    """The share of known images that lie nearer than each of `distances` (N,), by the quantiles (Q,): 0 to 1."""
    upper = torch.searchsorted(quantiles, distances).clamp(1, len(quantiles) - 1)
    low, high = quantiles[upper - 1], quantiles[upper]
    part = ((distances - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    return (upper - 1 + part) / (len(quantiles) - 1)
