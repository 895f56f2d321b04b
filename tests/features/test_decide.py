"""When activations are stored, by hand."""

from dataclasses import replace

import pytest

from thawline.errors import UserError
from thawline.features.decide import Need, decide
from thawline.settings.cache_settings import CacheSettings

NEED = Need(
    cut=7,
    row_bytes=1000,
    num_train=560,
    num_val=120,
    seen=5600,
    random_views=False,
    mixing=False,
)


def test_a_deterministic_transform_needs_one_view() -> None:
    decision = decide(NEED, CacheSettings())
    assert (decision.views, decision.num_bytes) == (1, 680_000)
    assert decision.reason == "what is stored is used 10 times"


@pytest.mark.parametrize(("views", "epochs", "expected"), [("auto", 10, 0), (4, 10, 4), (6, 10, 6), (10, 10, 0)])
def test_random_views_are_stored_where_they_come_again(views: object, epochs: int, expected: int) -> None:
    need = replace(NEED, random_views=True, seen=560 * epochs)
    assert decide(need, CacheSettings(views=views)).views == expected


@pytest.mark.parametrize(
    ("change", "settings", "reason"),
    [
        ({}, {"enabled": False}, "cache.enabled=false"),
        ({"cut": 0}, {}, "the first stage trains"),
        ({"random_views": True}, {}, "store N views of each with cache.views=N, or data.augment.enabled=false"),
        ({"mixing": True}, {}, "mix the images before the frozen stages"),
        ({"row_bytes": 10**8}, {}, "68.0 GB would be needed, cache.max_gb is 10"),
        ({"seen": 500}, {}, "seen once, so nothing would be saved"),
    ],
)
def test_what_speaks_against_it_is_told(change: dict[str, object], settings: dict[str, object], reason: str) -> None:
    need = replace(NEED, **change)  # type: ignore[arg-type]
    decision = decide(need, CacheSettings(**settings))  # type: ignore[arg-type]
    assert not decision.caching
    assert reason in decision.reason
    if settings.get("enabled") is None and "seen" not in change:
        with pytest.raises(UserError, match=r"cache\.enabled=true: .*; use cache\.enabled=auto"):
            decide(need, CacheSettings(enabled=True))


def test_what_a_run_cannot_do_without_is_stored_however_often_it_is_used() -> None:
    need = replace(NEED, required=True, seen=500)
    assert decide(need, CacheSettings()).caching
    assert decide(replace(need, random_views=True), CacheSettings(views=20)).views == 20
    decision = decide(replace(need, row_bytes=10**8), CacheSettings(enabled=True))  # the caller says what to do
    assert decision.reason == "68.0 GB would be needed, cache.max_gb is 10"
