"""What a hostile file is like: a valid one with some of its bytes, JSON values, or letters changed."""

import copy
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

CANARY = "thawline-canary"  # an element that no page of ours has
MARKUP = f"\"><{CANARY}></{CANARY}>'><script>alert(1)</script>"
_HUGE = (2**31, 2**63, -(2**63), 10**30, 10**400, 1e308, -1e308)
_TEXTS = (
    MARKUP, "", "../../../../tmp/outside", "/etc/passwd", "a\x00b", "\ud800", "\x1b[31m", "[bold]", "[/]",
    "${oc.env:HOME}", "NaN", "1e999", "=1+1", "os.system", "torch.load", "9" * 5000, "a\nb", "hf_hub:a/b", "\u202egpj",
)  # fmt: skip
_DEEP = 5000  # brackets; more than Python's stack
_LEAVES = st.one_of(
    st.sampled_from((*_HUGE, *_TEXTS, True, False, None, 0, -1, float("nan"), float("inf"))),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(("a", "name", "__class__", "0")), inner, max_size=3),
    ),
    max_leaves=6,
)
_EDITS = st.lists(
    st.tuples(
        st.sampled_from(("set", "cut", "insert", "remove", "repeat", "head")),
        st.floats(0, 1, exclude_max=True),
        st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from((b"\xff" * 8, b"\x00" * 8, b"\x7f\xff\xff\xff"))),
    ),
    min_size=1,
    max_size=4,
)


@st.composite
def changed_bytes(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the valid files, cut off or with bytes set, put in, taken out or repeated; the first bytes more often."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for kind, place, what in draw(_EDITS):
        at = int(place * (min(64, len(data)) if kind == "head" else len(data)))
        if kind in ("set", "head"):
            data[at : at + len(what)] = what
        elif kind == "cut":
            del data[at:]
        elif kind == "insert":
            data[at:at] = what
        elif kind == "remove":
            del data[at : at + len(what)]
        else:
            data[at:at] = data[at : at + 64] * 4
    return bytes(data)


@st.composite
def changed_json(draw: st.DrawFn, seeds: Sequence[Any]) -> bytes:
    """A valid body in which values are replaced, keys are gone, or lists are long; sometimes broken as a text too."""
    body = copy.deepcopy(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 3))):
        body = _with_one_change(draw, body)
    text = json.dumps(body)
    how = draw(st.integers(0, 39))
    if how == 0:
        return draw(changed_bytes([text.encode()]))
    if how == 1:
        return b"[" * _DEEP + text.encode()
    return text.replace("0.5", "1e999").encode() if how == 2 else text.encode()


def _with_one_change(draw: st.DrawFn, body: Any) -> Any:
    places = list(_places(body))
    if not places:
        return draw(_VALUES)
    holder, key = draw(st.sampled_from(places))
    how = draw(st.integers(0, 9))
    if how == 0:
        del holder[key]
    elif how == 1 and isinstance(holder, list):
        holder *= 3
    elif how == 2 and isinstance(holder, dict):
        holder[draw(st.sampled_from((MARKUP, "../x", "", "schema")))] = draw(_VALUES)
    elif how < 7:
        holder[key] = draw(_like(holder[key]))
    else:
        holder[key] = draw(_VALUES)
    return body


def _like(value: Any) -> st.SearchStrategy[Any]:
    """Values of the same type, which get further into a parser."""
    if isinstance(value, bool) or value is None:
        return st.sampled_from((True, False, None))
    if isinstance(value, int):
        return st.one_of(st.integers(-2, 70), st.sampled_from((2**31, 2**62, -(2**31), 4096, 10**6)))
    if isinstance(value, float):
        return st.one_of(st.floats(-2, 2), st.sampled_from((1e308, -1e308, 1e-320, 0.0)))
    if isinstance(value, str):
        return st.one_of(st.sampled_from(_TEXTS), st.text(max_size=12))
    if isinstance(value, list):
        return st.sampled_from((value * 2, value[:-1], [], [value], value * 50))
    return st.sampled_from(({}, {**value, "more": 1}))


def _places(value: Any) -> Any:
    """(mapping or list, key) of everything in it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from _places(item)


def changed_text(seeds: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Lines of valid files in which cells are anything, in any order; or changed as bytes."""
    cell = st.one_of(st.sampled_from((*_TEXTS, *" ".join(seeds).replace(",", " ").split())), st.text(max_size=12))
    lines = st.lists(st.lists(cell, min_size=1, max_size=5).map(",".join), max_size=6)
    heads = st.sampled_from([seed.splitlines()[0] for seed in seeds])
    made = st.tuples(heads, lines).map(lambda one: "\n".join((one[0], *one[1])).encode(errors="surrogatepass"))
    return st.one_of(made, changed_bytes([seed.encode() for seed in seeds]))
