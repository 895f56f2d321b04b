"""Simulated B-mode ultrasound of layered tissue with a cyst, a solid mass, or nothing: any number of images, offline.

1. Many scatterers per resolution cell give a circular complex Gaussian field.
2. The tissue's echogenicity and the attenuation along the beam weight the field.
3. The scanner's point spread function filters it, and its envelope is taken (`ultrasound_speckle.py`, with sources).
4. Time gain compensation and log compression make the envelope visible.

The carrier frequency is left out: for a narrow-band filter the envelope does not depend on it. The images serve to
compare how models are trained; they do not replace patients' images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thawline.data.sources.fingerprint import fingerprint
from thawline.data.sources.source import SPLITS, IntArray, Split
from thawline.data.sources.subset import consecutive_splits, place_in_split
from thawline.data.sources.ultrasound_speckle import (
    FloatArray,
    complex_gaussian,
    decibels_to_amplitude,
    envelope_of,
    log_compress,
    speckle,
)
from thawline.errors import UserError

Range = tuple[float, float]

RULE_VERSION = 1  # raise it whenever a change below alters any image: it enters the fingerprint
CLASS_NAMES = ("cyst", "solid_mass", "none")

# Scanner; ranges chosen to resemble a linear array of about 7.5 MHz (wavelength 0.2 mm) over soft tissue.
FIELD_MM = 40.0  # width and depth of the image
AXIAL_SIGMA_MM: Range = (0.12, 0.25)  # of the point spread function
LATERAL_SIGMA_MM: Range = (0.3, 0.7)
DYNAMIC_RANGE_DB: Range = (40.0, 60.0)
WHITE_DB: Range = (14.0, 26.0)  # level shown white, above average tissue: the operator's gain setting
NOISE_DB: Range = (-45.0, -28.0)  # electronic noise at the deepest line, after gain
GAIN_ERROR_DB: Range = (-6.0, 6.0)  # left over at the deepest line by an imperfect time gain compensation

# Tissue without lesion, decibels around the average echogenicity; chosen.
NUM_LAYERS = (1, 4)
LAYER_DB: Range = (-6.0, 6.0)
FASCIA_DB: Range = (4.0, 14.0)  # the bright line between two layers
NUM_BLOTCHES = (2, 6)
BLOTCH_DB: Range = (-6.0, 5.0)
BLOTCH_RADIUS_MM: Range = (2.0, 7.0)
NUM_VESSELS = (0, 3)
VESSEL_DB: Range = (-25.0, -10.0)
VESSEL_RADIUS_MM: Range = (0.6, 1.6)

# The lesion; chosen so that the task is of medium difficulty: a linear probe on EfficientNet-Lite0 features, trained on
# 560 images, reaches 77 % (C = 0.01, 240 test images); chance is 33 %.
LESION_RADIUS_MM: Range = (2.5, 6.0)
CYST_DB: Range = (-30.0, -12.0)  # not -infinity: reverberation and side lobes fill a cyst with clutter
CYST_SHADOW_DB: Range = (-6.0, 0.0)  # negative, because fluid attenuates less: tissue behind looks brighter
MASS_HYPO_DB: Range = (-14.0, -6.0)
MASS_HYPER_DB: Range = (4.0, 9.0)
MASS_SHADOW_DB: Range = (2.0, 12.0)
MASS_ROUGHNESS: Range = (0.05, 0.25)  # of the outline, share of the radius
CYST_ROUGHNESS: Range = (0.0, 0.08)
OUTLINE_WAVES = (2, 3, 5)  # waves around the outline; no common factor, so outlines have no symmetry


class UltrasoundPhantom:
    """Simulated B-mode images of three classes: cyst, solid mass, none.

    Args:
        num_train, num_val, num_test: Images per split; classes are balanced to within one image.
        seed: Image i of a split is a pure function of (seed, split, i), whatever the number of images.
        size: Side of the image, pixels, at least 32; it always shows 40 mm x 40 mm.
    Raises:
        UserError: a setting is out of range.
    """

    name = "ultrasound_phantom"

    def __init__(self, *, num_train: int, num_val: int, num_test: int, seed: int = 0, size: int = 224) -> None:
        if seed < 0:
            raise UserError(f"data.source.seed={seed}: give a whole number of 0 or more")
        if size < 32:
            raise UserError(f"data.source.size={size}: give a side of 32 pixels or more")
        self.seed, self.size = seed, size
        self.class_names: Sequence[str] = list(CLASS_NAMES)
        self.splits: Mapping[Split, IntArray] = consecutive_splits(
            num_train=num_train, num_val=num_val, num_test=num_test
        )
        self.groups: IntArray = np.arange(num_train + num_val + num_test, dtype=np.int64)
        self.labels: IntArray = self.groups % len(CLASS_NAMES)

    def load(self, index: int) -> Image.Image:
        """Return image `index`, mode RGB, `size` x `size`."""
        split, position = place_in_split(self.splits, index)
        rng = np.random.default_rng([self.seed, SPLITS.index(split), position])
        grey = scan(CLASS_NAMES[self.labels[index]], rng, size=self.size)
        return Image.fromarray(grey).convert("RGB")

    def describe(self, index: int) -> str:
        split, position = place_in_split(self.splits, index)
        return f"{self.name} {CLASS_NAMES[self.labels[index]]} ({split} {position}, seed {self.seed})"

    def fingerprint(self) -> str:
        counts = [len(self.splits.get(split, ())) for split in SPLITS]
        return fingerprint(self.name, RULE_VERSION, self.seed, self.size, *counts)


@dataclass(frozen=True)
class Lesion:
    """A lesion, as the sound meets it.

    Attributes:
        mask: Share of each pixel inside the lesion, (H, W), float32, in [0, 1].
        echo_db: Echogenicity inside, relative to the tissue.
        shadow_db: Extra attenuation through the thickest part; a negative value brightens the tissue behind.
    """

    mask: FloatArray
    echo_db: float
    shadow_db: float


def scan(class_name: str, rng: np.random.Generator, *, size: int) -> NDArray[np.uint8]:
    """Simulate one image: tissue, lesion, sound, scanner.

    Returns:
        (size, size), uint8; row 0 is at the skin.
    """
    echo_db = tissue(rng, size=size)  # (H, W)
    lesion = draw_lesion(class_name, rng, size=size)
    if lesion is not None:
        # The lesion replaces the tissue; half of the tissue's texture stays visible.
        echo_db = echo_db * (1.0 - 0.5 * lesion.mask) + lesion.mask * lesion.echo_db - shadow(lesion)
    depth = np.linspace(0.0, 1.0, size, dtype=np.float32)[:, None]  # (H, 1)
    echo_db = echo_db + depth * np.float32(rng.uniform(*GAIN_ERROR_DB))
    axial, lateral = rng.uniform(*AXIAL_SIGMA_MM), rng.uniform(*LATERAL_SIGMA_MM)
    field = speckle(echo_db, rng, axial_sigma=to_pixels(axial, size), lateral_sigma=to_pixels(lateral, size))
    noise_db = depth * 20.0 - 20.0 + rng.uniform(*NOISE_DB)  # gain lifts the noise with depth
    envelope = envelope_of(field + decibels_to_amplitude(noise_db) * complex_gaussian((size, size), rng))
    return log_compress(envelope, white_db=rng.uniform(*WHITE_DB), dynamic_range_db=rng.uniform(*DYNAMIC_RANGE_DB))


def to_pixels(millimetres: float, size: int) -> float:
    return millimetres * size / FIELD_MM


def tissue(rng: np.random.Generator, *, size: int) -> FloatArray:
    """Echogenicity of layered tissue with blotches and small vessels, decibels, (size, size), float32."""
    echo_db = layers(rng, size=size)
    for _ in range(rng.integers(*NUM_BLOTCHES, endpoint=True)):
        radius = rng.uniform(*BLOTCH_RADIUS_MM)
        echo_db += blob(rng, size=size, radius_mm=radius, roughness=0.3, softness=0.8) * rng.uniform(*BLOTCH_DB)
    for _ in range(rng.integers(*NUM_VESSELS, endpoint=True)):
        radius = rng.uniform(*VESSEL_RADIUS_MM)
        echo_db += blob(rng, size=size, radius_mm=radius, roughness=0.05, softness=0.2) * rng.uniform(*VESSEL_DB)
    return echo_db


def layers(rng: np.random.Generator, *, size: int) -> FloatArray:
    """Echogenicity of layers with wavy boundaries and a bright fascia between them, decibels, (size, size)."""
    x, y = _grid(size)
    echo_db = np.zeros((size, size), dtype=np.float32)
    for _ in range(rng.integers(*NUM_LAYERS, endpoint=True)):
        wave = rng.uniform(0.2, 2.0) * np.sin(x * rng.uniform(0.05, 0.25) + rng.uniform(0.0, 2.0 * np.pi))
        below = (y - rng.uniform(2.0, FIELD_MM) - wave + x * rng.uniform(-0.1, 0.1)).astype(np.float32)  # (H, W), mm
        echo_db += np.float32(rng.uniform(*LAYER_DB)) * (below > 0.0)
        echo_db += np.float32(rng.uniform(*FASCIA_DB)) * np.exp(-np.square(below / np.float32(0.3)))
    return echo_db


def blob(
    rng: np.random.Generator, *, size: int, radius_mm: float, roughness: float, softness: float, margin_mm: float = 0.0
) -> FloatArray:
    """An ellipse with an uneven outline at a random place.

    Args:
        radius_mm: Mean radius; the axes differ by up to a factor 2.
        roughness: Amplitude of the outline's waves, share of the radius.
        softness: Width of the edge, share of the radius; > 0.
        margin_mm: Least distance of the centre from the border.
    Returns:
        (size, size), float32: 1 inside, 0 outside, a linear ramp at the edge.
    """
    x, y = _grid(size)
    centre_x, centre_y = rng.uniform(margin_mm, FIELD_MM - margin_mm, size=2)
    stretch = rng.uniform(1.0, np.sqrt(2.0))
    dx = (x - np.float32(centre_x)) / np.float32(radius_mm * stretch)  # (1, W), in radii
    dy = (y - np.float32(centre_y)) / np.float32(radius_mm / stretch)  # (H, 1)
    reach = 1.0 + len(OUTLINE_WAVES) * roughness + softness
    columns, rows = np.abs(dx[0]) < reach, np.abs(dy[:, 0]) < reach
    dx, dy = dx[:, columns], dy[rows]  # the mask is 0 elsewhere; 3 ms less per image
    angle = np.arctan2(dy, dx)  # (h, w)
    outline = np.ones_like(angle)
    for frequency in OUTLINE_WAVES:
        phase = np.float32(rng.uniform(0.0, 2.0 * np.pi))
        outline += np.float32(roughness * rng.uniform(0.0, 1.0)) * np.cos(frequency * angle + phase)
    distance = outline - np.sqrt(dx**2 + dy**2)
    mask = np.zeros((size, size), dtype=np.float32)
    mask[np.ix_(rows, columns)] = np.clip(distance / np.float32(softness) + np.float32(0.5), 0.0, 1.0)
    return mask


@lru_cache(maxsize=4)
def _grid(size: int) -> tuple[FloatArray, FloatArray]:
    millimetres = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * np.float32(FIELD_MM / size)
    return millimetres[None, :], millimetres[:, None]


def draw_lesion(class_name: str, rng: np.random.Generator, *, size: int) -> Lesion | None:
    """A random lesion of a class; None for the class `none`."""
    if class_name == "none":
        return None
    radius = rng.uniform(*LESION_RADIUS_MM)
    if class_name == "cyst":
        echo, rough, behind, soft = CYST_DB, CYST_ROUGHNESS, CYST_SHADOW_DB, 0.1
    elif class_name == "solid_mass":
        echo = MASS_HYPER_DB if rng.random() < 0.5 else MASS_HYPO_DB
        rough, behind, soft = MASS_ROUGHNESS, MASS_SHADOW_DB, 0.25
    else:
        raise ValueError(f"class {class_name!r}: allowed are {', '.join(CLASS_NAMES)}")
    mask = blob(rng, size=size, radius_mm=radius, roughness=rng.uniform(*rough), softness=soft, margin_mm=6.0)
    return Lesion(mask=mask, echo_db=rng.uniform(*echo), shadow_db=rng.uniform(*behind))


def shadow(lesion: Lesion) -> FloatArray:
    """Attenuation by the lesion, accumulated from the skin downwards, decibels, (H, W), float32."""
    path = np.cumsum(lesion.mask, axis=0, dtype=np.float32)  # pixels of lesion that the sound has crossed
    thickest = max(float(path.max()), 1.0)
    return np.asarray(path * np.float32(lesion.shadow_db / thickest), dtype=np.float32)
