"""The sentences of docs/speed.md around its tables."""

BEFORE = """\
EfficientNet-Lite0 at 224, 800 images of solar cells as PNG files in train, val and test folders, the same view of each
in every epoch. Plain Lightning is `scripts/evidence/speed/plain.py`: a LightningModule over a frozen timm model,
ImageFolder, a DataLoader with 2 workers unless the command says otherwise, fp32, the trainer's defaults. Thawline is
`python train.py` with an empty cache. Both have the same images, batches of 32, epochs, learning rates and seeds, and
take the same number of steps; every run is a process of its own, the two sides in turn. Numbers are medians; a ratio is
the median of the ratios within each repeat, with the least and the greatest. A whole fit begins when model and data are
there and ends with the last epoch; the pass that fills Thawline's cache is in it. The whole process also has imports,
reading and checking the images, and Thawline's test."""

# Case -> how its rows are defined, where their labels do not say it.
DEFINITIONS = {
    "extraction": """\
The extraction pass is compared with the forward pass of the same model, on images in memory, in the same process: the
fastest of eager fp32, eager bf16 and compiled bf16 once it is compiled, all in channels-last layout. What happens once
(fusing the convolutions, the first memory) is left out by taking the time by which a pass over all images takes longer
than one over half of them. The share of decoding is the time that one process needs to decode and transform the same
files and nothing else, as a share of the pass's own; the pass does that work beside the computing.""",
}

# Page -> case -> a paragraph on what surprises in its rows there.
SURPRISES: dict[str, dict[str, str]] = {
    "speed": {
        "feature_extraction": """\
Of 120 validation images, 0.008 is one. Over six seeds the head came to a mean validation accuracy of 0.814 on features
computed in bf16, as above, and of 0.811 with `trainer.precision=32-true`, whose features are the baseline's; on 120
test images to 0.756 and 0.749.""",
        "full_fine_tune": """\
Compiling what trains does not repay on this CPU: it takes some 80 s, and a compiled step is no faster than one that is
not (27 images/s against 36 in bf16, 23 against 27 in fp32). Half of a step are the convolutions' gradients, which
oneDNN computes either way. So `compile=auto` does not compile on a CPU; what is not compiled reaches 3x by itself.""",
        "extraction": """\
From files, the pass waits for the images: decoding and resizing a PNG takes 3 ms of one of the two cores, and the model
takes 3.3 ms of both.""",
    }
}

BEFORE_STEPS = """\
Images per second, EfficientNet-Lite0 at 224, batch {batch}, channels-last, AdamW: forward, backward, step;
images in memory."""

AFTER_STEPS = """\
"In bf16" means: the frozen stages with BatchNorm and activation fused into the convolutions (`models/fused.py`); what
trains, under autocast, with the gradients of depthwise convolutions in fp32 (`models/depthwise.py`); weights, optimizer
and head in fp32. So on a CPU Thawline keeps freed memory (`thawline/memory.py`), and `trainer.precision=auto` computes
in bf16 where the hardware does (`thawline/precision.py`)."""
