"""Whether a run trains on stored activations, from which cut, with how many views, and why."""

from dataclasses import dataclass

from thawline.errors import UserError
from thawline.settings.cache_settings import RANDOM_VIEWS, CacheSettings


@dataclass(frozen=True)
class Need:
    """The facts that decide whether a run stores activations.

    Attributes:
        cut: Leading stages that no epoch trains; their output would be stored.
        row_bytes: Bytes of one image's activations at the cut.
        num_train, num_val: Images.
        seen: Training images over the whole run; an image counts once for each epoch.
        random_views: Whether an image looks different in every epoch.
        mixing: Whether images are mixed with each other before the backbone.
        required: Whether the run needs stored activations.
    """

    cut: int
    row_bytes: int
    num_train: int
    num_val: int
    seen: int
    random_views: bool
    mixing: bool
    required: bool = False


@dataclass(frozen=True)
class Decision:
    """`views` per training image are stored, 0 if nothing is stored."""

    views: int
    num_bytes: int
    reason: str

    @property
    def caching(self) -> bool:
        return self.views > 0


def decide(need: Need, settings: CacheSettings) -> Decision:
    """Store activations or not; raises `UserError` if `cache.enabled=true` and the run cannot store them."""
    if settings.enabled is False:
        return Decision(0, 0, "cache.enabled=false")
    impossible = _impossible(need, settings)
    views = int(settings.views) if need.random_views and settings.views != "auto" else 1
    num_bytes = need.row_bytes * (views * need.num_train + need.num_val)
    limit = settings.max_gb * 1e9
    if impossible is None and num_bytes > limit:
        impossible = f"{num_bytes / 1e9:.1f} GB would be needed, cache.max_gb is {settings.max_gb:g}"
    if settings.enabled is True and not need.required:
        if impossible is not None:
            raise UserError(f"cache.enabled=true: {impossible}; use cache.enabled=auto")
        return Decision(views, num_bytes, "cache.enabled=true")
    if impossible is not None:
        return Decision(0, 0, impossible)
    if need.required:
        return Decision(views, num_bytes, "the head is fitted on it")
    if views * need.num_train >= need.seen:
        return Decision(0, 0, f"each of {need.seen:,} training images is seen once, so nothing would be saved")
    repeated = need.seen / (views * need.num_train)
    return Decision(views, num_bytes, f"what is stored is used {repeated:.0f} times")


def _impossible(need: Need, settings: CacheSettings) -> str | None:
    if need.cut == 0:
        return "the first stage trains, so nothing stays what it was"
    if need.random_views and settings.views == "auto":
        return RANDOM_VIEWS
    if need.mixing:
        return "mixup and cutmix mix the images before the frozen stages"
    return None
