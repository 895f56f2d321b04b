"""A portable model folder of its own: copied from a run that has one, or made of an older run's checkpoint."""

from collections.abc import Callable
from pathlib import Path

from thawline.deploy.description_file import DESCRIPTION_FILE
from thawline.deploy.export_check import SHOWN_ABOVE
from thawline.deploy.export_folder import new_folder
from thawline.deploy.export_images import Images
from thawline.deploy.loaded import load, model_folder
from thawline.deploy.older_run import read_older_run
from thawline.deploy.portable import MODEL_FOLDER, read_model, write_model
from thawline.progress_bar import counted
from thawline.report.run_record import RECORD_FILE


def convert(source: Path, out: Path, *, images: Images, trust: bool, say: Callable[[str, str], None]) -> None:
    """Write model folder `out`, load it, and measure it on the images.

    Args:
        source: A run's folder or a model folder.
        images: Those of the run's test, to compare with what its record says.
        say: Takes what a line is about, and what it says.
    Raises:
        UserError: There is no completed run, a file of it is damaged, or `out` holds files.
    """
    has_model = any((place / DESCRIPTION_FILE).is_file() for place in (source, source / MODEL_FOLDER))
    older = not has_model and (source / RECORD_FILE).is_file()
    description, tensors = read_older_run(source) if older else read_model(model_folder(source))
    with new_folder(out) as part:
        write_model(part, description, tensors)
        model = load(part, trust=trust, accelerator="cpu")
        how = f"made of {source}'s checkpoint, not calibrated" if older else f"a copy of {model_folder(source)}"
        say("wrote", f"{out}: {how}")
        each = counted(range(images.number), images.number, "images read", above=SHOWN_ABOVE)
        answers = model.predict(images.load(index) for index in each)
    if images.labels is None:
        say("check", f"it loads and answers; {images.what}")
        return
    right = [answer.label == model.class_names[label] for answer, label in zip(answers, images.labels, strict=True)]
    said = description.provenance.metrics.get("test/accuracy")
    beside = "" if said is None else f", {said:.4f} in the run's test"
    say("check", f"{images.what}: accuracy {sum(right) / len(right):.4f}{beside}")
