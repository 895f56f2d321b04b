"""The model card: what the model is, for a person who opens its folder."""

from thawline.deploy.calibration_error import error_line, worse_line
from thawline.deploy.description import EQUAL, Description

_MAX_CLASSES = 40  # that are listed


def card(description: Description) -> str:
    """README.md of a model folder, in Markdown."""
    origin, built, seen = description.provenance, description.architecture, description.preprocessing
    names = description.class_names
    listed = ", ".join(names[:_MAX_CLASSES]) + (
        f", and {len(names) - _MAX_CLASSES} more" if len(names) > _MAX_CLASSES else ""
    )
    metrics = "\n".join(f"| {name} | {value:.4f} |" for name, value in sorted(origin.metrics.items()))
    versions = ", ".join(f"{name} {number}" for name, number in origin.versions.items())
    return f"""# {origin.strategy} of {built.backbone} for {origin.data}

An image classifier of {len(names)} classes: {listed}.

    import thawline
    model = thawline.load("this folder")
    model.predict(["image.jpg"])

- **Input**: any image file; it is resized to {seen.size} x {seen.size} pixels ({seen.fit}, {seen.interpolation}).
- **Trained on** {origin.num_train:,} images of {origin.data} (fingerprint {origin.data_fingerprint}), strategy
  {origin.strategy}, run {origin.run_id}.
- **Pretrained weights**: {built.backbone}, {origin.weights}, licence: {origin.licence}; SHA-256
  {origin.weights_sha256}.
- **Probabilities**: {_calibrated(description)}
- **Made with** {versions}.

| measured | |
|---|---:|
{metrics}

The numbers hold for images like those it was trained and tested on. It gives one of its classes to any image, also to
one that shows none of them.
"""


def _calibrated(description: Description) -> str:
    how = description.calibration
    if not how.by:
        return "not calibrated."
    assumed = "equally frequent" if how.prior == EQUAL else "as frequent as among the training images"
    lines = [
        f"calibrated on {how.images:,} images ({how.by}), logits times {how.temperature:.3f}; they hold where the",
        f"classes are {assumed}.",
    ]
    if how.tested is not None:
        lines.append(f"Calibration error of the test images {error_line(how.tested)}.")
        lines += [f"**But** {worse}." for worse in [worse_line(how.tested)] if worse]
    return "\n  ".join(lines)
