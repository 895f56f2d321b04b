"""What is odd about single files: unreadable, blank, dark, blurred, of another kind or size, cropped."""

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thawline.data.input_spec import LONGEST_KEPT
from thawline.inspection.file_facts import Facts
from thawline.inspection.issue import Issue
from thawline.inspection.listing import Listing
from thawline.inspection.robust import FAR, modified_z, score_of_z
from thawline.printable import printable

_BLACK, _WHITE = 8, 247  # of 255; chosen: an image all below, or all above, shows nothing to the eye
_FLAT = 1.0  # standard deviation of the levels, of 255, below which an image has one colour
ONE_COLOUR = "one colour"
_DARK, _BRIGHT = 50, 205  # of 255; chosen: 95 % of a dark image's thumb is below, of a bright one's above
_FEW = 0.05  # share of the images up to which something is odd; what more have is how these images are
_BLURRED = 0.25  # of the median sharpness; chosen: half the resolution gives about a quarter
_TINY = 32  # pixels of the shorter side; chosen: a backbone that expects 224 sees seven times enlarged pixels
_OTHER_AREA = 16.0  # times the median area, or the median times the area; chosen: four times a side
_SAME_FORMAT = {"MPO": "JPEG", "PPM": "PPM"}  # Pillow's names: an MPO is a JPEG with further images behind it


def file_issues(listing: Listing, facts: Facts) -> list[Issue]:
    """Issues of single files."""
    return [
        *_unreadable(listing, facts),
        *_blank(listing, facts),
        *_light(listing, facts),
        *_blurred(listing, facts),
        *_odd_files(listing, facts),
        *_odd_sizes(listing, facts),
        *_cropped(listing, facts),
    ]


def _issue(listing: Listing, image: int, kind: str, score: float, detail: str, suggestion: str) -> Issue:
    class_name = listing.class_of(image) if listing.labelled else ""
    return Issue(kind, int(image), min(max(float(score), 0.0), 1.0), class_name, detail, suggestion)


def _unreadable(listing: Listing, facts: Facts) -> Iterator[Issue]:
    for image, reason in facts.errors.items():
        yield _issue(listing, image, "unreadable", 1.0, reason, "repair it, or leave it out")


def blank_places(facts: Facts) -> NDArray[np.bool_]:
    """Which of the readable images show nothing, (M,)."""
    return np.asarray(_black_or_white(facts) | (facts.rows["contrast"] < _FLAT))


def _black_or_white(facts: Facts) -> NDArray[np.bool_]:
    low, high = facts.thumbs.min(axis=(1, 2, 3)), facts.thumbs.max(axis=(1, 2, 3))
    return np.asarray((high <= _BLACK) | (low >= _WHITE))


def _blank(listing: Listing, facts: Facts) -> Iterator[Issue]:
    for place in np.flatnonzero(blank_places(facts)):
        brightness = facts.rows["brightness"][place]
        what = "nearly black" if brightness <= _BLACK else "nearly white" if brightness >= _WHITE else ONE_COLOUR
        yield _issue(listing, facts.images[place], "blank", 1.0, f"{what} everywhere", "leave it out")


def _light(listing: Listing, facts: Facts) -> Iterator[Issue]:
    blank = _black_or_white(facts)  # not those of one colour, which thumbs do not show
    dark, bright = facts.rows["upper"] < _DARK, facts.rows["lower"] > _BRIGHT
    for kind, extreme, level in (("dark", dark, "upper"), ("bright", bright, "lower")):
        places = np.flatnonzero(extreme & ~blank)
        if len(places) > _FEW * len(facts.images):
            continue
        for place in places:
            value = facts.rows[level][place]
            score = 1 - value / _DARK if kind == "dark" else (value - _BRIGHT) / (255 - _BRIGHT)
            words = f"95 % of it is {'below' if kind == 'dark' else 'above'} {value:.0f} of 255"
            yield _issue(listing, facts.images[place], kind, score, words, "look at it; leave it out if useless")


def _blurred(listing: Listing, facts: Facts) -> Iterator[Issue]:
    sharp = facts.rows["sharpness"]
    if not np.isfinite(sharp).any():
        return
    median = float(np.nanmedian(sharp))
    z = -modified_z(np.log(np.maximum(sharp, 1e-9)))
    for place in np.flatnonzero((z > FAR) & (sharp < _BLURRED * median)):
        detail = f"{sharp[place] / median:.0%} of the usual sharpness"
        yield _issue(
            listing, facts.images[place], "blurred", score_of_z(z[place]), detail, "look at it; leave it out if useless"
        )


def _odd_files(listing: Listing, facts: Facts) -> Iterator[Issue]:
    """Another mode than nearly all have, a name that says another format, an animation."""
    modes = facts.rows["mode"]
    counts = Counter(modes.tolist())
    usual = counts.most_common(1)[0][0] if counts else ""
    for place, image in enumerate(facts.images):
        mode, frames = str(modes[place]), int(facts.rows["frames"][place])
        if mode != usual and counts[mode] <= _FEW * len(modes):
            detail = f"mode {mode or 'unknown to Pillow'}, where most have {usual or 'one unknown to Pillow'}"
            yield _issue(listing, image, "odd_file", 1 - counts[mode] / len(modes), detail, "check where it comes from")
        is_a = str(facts.rows["format"][place])
        named_as = _format_of_name(str(listing.index.paths[image])) if is_a else ""
        if named_as and named_as != _SAME_FORMAT.get(is_a, is_a):
            yield _issue(listing, image, "odd_file", 0.5, f"named as {named_as}, is a {is_a}", "rename it")
        if frames > 1 and is_a not in ("MPO", "ICO"):
            detail = f"{frames} frames or pages, of which the first is taken"
            yield _issue(listing, image, "odd_file", 0.5, detail, "save the frames as images of their own")


def _format_of_name(path: str) -> str:
    name = Image.registered_extensions().get(PurePosixPath(path).suffix.lower(), "")
    return _SAME_FORMAT.get(name, name)


def _odd_sizes(listing: Listing, facts: Facts) -> Iterator[Issue]:
    widths, heights = facts.rows["width"], facts.rows["height"]
    if not len(widths):
        return
    area = (widths * heights).astype(np.float64)
    median = float(np.median(area))
    ratio = np.maximum(area / median, median / area)
    sizes = Counter(zip(widths.tolist(), heights.tolist(), strict=True))
    usual, count = sizes.most_common(1)[0]
    all_but_few = count >= (1 - _FEW) * len(widths)
    tiny = np.minimum(widths, heights) < _TINY
    for place, image in enumerate(facts.images):
        size = (int(widths[place]), int(heights[place]))
        if tiny[place] and tiny.mean() <= _FEW:
            detail = f"only {size[0]} x {size[1]} pixels"
        elif ratio[place] > _OTHER_AREA:
            detail = f"{size[0]} x {size[1]} pixels, {ratio[place]:.0f} times the usual area or its inverse"
        elif all_but_few and size != usual:
            detail = f"{size[0]} x {size[1]} pixels, where nearly all have {usual[0]} x {usual[1]}"
        else:
            continue
        yield _issue(listing, image, "odd_size", 1 - 1 / ratio[place], detail, "check where it comes from")


def _cropped(listing: Listing, facts: Facts) -> Iterator[Issue]:
    sizes = np.stack([facts.rows["width"], facts.rows["height"]], axis=1)
    for place in np.flatnonzero(sizes.max(axis=1) > LONGEST_KEPT * sizes.min(axis=1)):
        width, height = sizes[place]
        lost = 1 - min(width, height) / max(width, height)
        detail = f"{width} x {height}: the square in the centre lacks {lost:.0%}"
        yield _issue(listing, facts.images[place], "cropped", lost, detail, "data.fit=pad or data.fit=squash")


def shown_reason(listing: Listing, issue: Issue) -> str:
    """`path (class): detail`."""
    place = issue.class_name if issue.image is None else listing.shown(issue.image)
    label = f" ({issue.class_name})" if issue.image is not None and issue.class_name else ""
    return f"{printable(place)}{label}: {issue.detail}" if place else issue.detail
