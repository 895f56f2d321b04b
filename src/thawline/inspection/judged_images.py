"""What a pretrained backbone says of the images: probabilities of their classes, and how far they lie from all."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from thawline.data.dataset import SplitDataset
from thawline.data.sources.image_files import ImageFiles
from thawline.data.sources.source import IntArray, reduced
from thawline.data.sources.subset import evenly_spread, stratified_subset
from thawline.data.transforms import eval_transform
from thawline.features.extract import Tap
from thawline.features.feature_cache import FeatureCache
from thawline.features.left_out import Targets
from thawline.features.pooled import pooled_features
from thawline.features.readout import Readout
from thawline.features.stack import solve_stack
from thawline.features.unknown import fit_known
from thawline.inspection.crops import NO_CROPS, SIDE, Crops, crops_among
from thawline.inspection.file_facts import Facts
from thawline.inspection.file_issues import blank_places
from thawline.inspection.listing import Listing, collected_notes
from thawline.machine.compute import choose_compute
from thawline.machine.decisions import memory_format, num_workers
from thawline.machine.memory import keep_freed_memory
from thawline.machine.processes import num_cores
from thawline.models.backbone import build_backbone
from thawline.models.weights import default_weights
from thawline.settings.cache_settings import CacheSettings

_GRIDS = (1, 2)  # cells along each side over which a stage's activations are averaged, as in strategy=stacked_probe
MOST_JUDGED = 20_000  # drawn by class; chosen: their features take about 1 GB, and the stack is solved in minutes
_FOLDS = 5  # of the distances; no image counts for the classes that it is measured against
_DECODED = 2  # times the side at which crops are compared; a JPEG that is decoded smaller has lost details
_MOST_FITTED = 1_000  # images that the distances are fitted on; chosen: eight for each dimension that is kept


@dataclass(frozen=True)
class ModelChoice:
    """Which backbone looks at the images, and how.

    Attributes:
        weights: None takes those of a package on the registry if there are any, else timm's download.
        image_size: Pixels; None takes the backbone's.
        cache_dir: Folder of stored features; `auto` is that of training.
    """

    name: str = "tf_efficientnet_lite0"
    weights: str | None = None
    image_size: int | None = None
    accelerator: str = "auto"
    precision: str = "auto"
    cache_dir: str = "auto"


@dataclass(frozen=True)
class Seen:
    """Features of images.

    Attributes:
        images: Indices among those listed, (N,), int64; blank and unreadable ones are left out.
        labels, families: Class, and number of the family of copies, of each, (N,), int64.
        features: At every tap (N, D).
        about: Which backbone at which size.
    """

    images: IntArray
    labels: IntArray
    families: IntArray
    features: dict[Tap, Tensor]
    about: str

    def take(self, places: IntArray) -> "Seen":
        """Some of the images."""
        rows = torch.from_numpy(places)
        features = {tap: of_tap[rows] for tap, of_tap in self.features.items()}
        return Seen(self.images[places], self.labels[places], self.families[places], features, self.about)


def seen_by(choice: ModelChoice, listing: Listing, facts: Facts, families: IntArray) -> Seen:
    """Pass the images through the frozen backbone once; the features are stored.

    Raises:
        UserError: There is no such backbone, its weights are missing, or a file went away.
    """
    places = _looked_at(listing, facts)
    labels = listing.index.labels[facts.images]
    compute = choose_compute(accelerator=choice.accelerator, precision=choice.precision)
    compute.set_up()
    if compute.on_cpu:
        keep_freed_memory()
    backbone = build_backbone(
        choice.name, weights=choice.weights or default_weights(choice.name), image_size=choice.image_size
    )
    backbone.to(memory_format=memory_format(compute.device.type))
    backbone.to(compute.device).eval()
    readout = Readout.of(backbone, stages=range(backbone.num_stages), grids=_GRIDS)
    about = f"{backbone.name} at {backbone.input.size} pixels"
    if not len(places):
        return Seen(places, places, places, {}, about)
    dataset = SplitDataset(
        _source(listing, facts.images[places]),
        np.arange(len(places), dtype=np.int64),
        transform=eval_transform(backbone.input),
        seed=0,
        random_views=False,
    )
    rows = pooled_features(
        [dataset],
        backbone,
        readout,
        compute,
        cache=FeatureCache.of(CacheSettings(dir=choice.cache_dir)),
        num_workers=num_workers(compute.device.type, num_cores()),
        smaller="choose a smaller --model or --image-size, or --accelerator cpu",
    )[0]
    return Seen(facts.images[places], labels[places], families[places], readout.split(rows), about)


def _looked_at(listing: Listing, facts: Facts) -> IntArray:
    """Places of the images that show something; a sample where there are very many."""
    places = np.flatnonzero(~blank_places(facts)).astype(np.int64)
    if len(places) <= MOST_JUDGED:
        return places
    classes = np.unique(listing.index.labels[facts.images[places]], return_inverse=True)[1].astype(np.int64)
    return places[stratified_subset(classes, MOST_JUDGED, seed=0)]


def _source(listing: Listing, images: IntArray) -> ImageFiles:
    index = replace(listing.index.take(images), parts=None, group_names=None)
    with collected_notes():  # said of the whole set before
        return ImageFiles(listing.root, index, name="inspected", where=str(listing.where), verify=False)


def crops_seen(seen: Seen, listing: Listing) -> Crops:
    """Crops among the images; two thirds through the stages, averaged in quarters, they are nearest to the whole."""
    if not len(seen.images):
        return NO_CROPS
    last = max(tap.cut for tap in seen.features)
    tap = min(seen.features, key=lambda one: (abs(one.cut - 2 * last / 3), -(one.grid or 1)))
    images = reduced(_source(listing, seen.images), _DECODED * SIDE)

    def grey(place: int) -> NDArray[np.uint8]:
        return np.asarray(images.load(place).convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))

    return crops_among(seen.features[tap].flatten(1), seen.families, grey)


def left_out_probabilities(seen: Seen) -> tuple[NDArray[np.float64], IntArray, IntArray]:
    """Of every image by a stack of probes fitted on the images of other families: (N, K), rows sum to 1.

    Returns:
        Probabilities, the classes of the columns (K,), and the labels as columns (N,).
    """
    classes, columns = np.unique(seen.labels, return_inverse=True)
    targets = Targets.of(
        torch.from_numpy(columns.astype(np.int64)), num_classes=len(classes), groups=torch.from_numpy(seen.families)
    )
    probabilities = solve_stack(seen.features, targets).probabilities.double().numpy()
    return probabilities / probabilities.sum(axis=1, keepdims=True), classes, columns.astype(np.int64)


def left_out_distances(seen: Seen) -> NDArray[np.float64]:
    """Of every image (N,) from the nearest class, in the last stage's features, by images of other families."""
    tap = max(seen.features, key=lambda one: (one.cut, -(one.grid or 1)))
    rows, labels = seen.features[tap].float(), torch.from_numpy(seen.labels)
    distances = np.zeros(len(seen.images))
    for fold in _folds(seen.families):
        others = np.flatnonzero(~fold)
        some = others[evenly_spread(len(others), _MOST_FITTED)]
        known = fit_known(rows[some], labels[some])
        distances[fold] = known.distances(rows[torch.from_numpy(fold)]).numpy()
    return distances


def _folds(families: IntArray) -> Iterator[NDArray[np.bool_]]:
    """Which images each fold measures, (N,); a family lies in one."""
    numbers = np.unique(families, return_inverse=True)[1]
    fold_of = np.random.default_rng(0).permutation(int(numbers.max()) + 1) % _FOLDS
    for fold in range(_FOLDS):
        measured = fold_of[numbers] == fold
        if measured.any() and not measured.all():
            yield measured
