"""The sentences of docs/speed.md around its tables."""

BEFORE = """\
This page compares the time of Thawline with that of a plain Lightning script on the same images, and names what was
missed.

- The images: 800 solar cells as PNG files in train, val and test folders. EfficientNet-Lite0 at 224 pixels. Every image
  looks the same in every epoch (`data.augment=none`), which is what lets Thawline store frozen stages. That is the
  default where the first stages stay frozen ([why](defaults.md)). With random views (`data.augment.enabled=true`) it
  stores nothing unless `cache.views=N` asks for N views of each, and the ratios of feature extraction, the partial
  fine-tune and the depth sweep do not hold. Where every stage trains, random views are the default; the rows of full
  fine-tuning are without them.
- Plain Lightning: `scripts/evidence/speed/plain.py`, a LightningModule over a frozen timm model, ImageFolder, a
  DataLoader with 2 workers unless the command says otherwise, fp32, the trainer's defaults. It stores
  nothing, so it computes the frozen stages in every epoch.
- Thawline: `python train.py` with an empty cache.
- Both have the same images, batches of 32, epochs, learning rates and seeds, and take the same number of steps. Every
  run is a separate process; the two sides take turns.
- Numbers are medians. A ratio is the median of the ratios within each repeat; the least and the greatest follow in
  brackets.
- A whole fit begins when model and data are loaded and ends with the last epoch. It includes the pass that fills
  Thawline's cache. The whole process also has imports, reading and checking the images, and Thawline's test. It is what
  you wait for."""

# Case -> how its rows are defined, where their labels do not say it.
DEFINITIONS = {
    "extraction": """\
The extraction pass runs all images through the frozen stages once. It is compared with the forward pass of the same
model, on images in memory, in the same process: the fastest of eager fp32, eager bf16 and compiled bf16 (after
compiling), all in channels-last layout. "Without what happens once" leaves out fusing the convolutions and getting the
first memory: it divides half of the images by how much longer a pass over all images takes than one over half of them.
The share of decoding is the time in which one process decodes and transforms the same files and does nothing else, as a
share of the pass's time. The pass decodes beside the computing.""",
}

# Page -> case -> a paragraph on what surprises in its rows there.
SURPRISES: dict[str, dict[str, str]] = {
    "speed": {
        "feature_extraction": """\
For feature extraction the whole process is 26x faster; 71x is the fit alone. Imports, reading the images, the test and
the portable model take two thirds of Thawline's 20 s. On 2026-11-25 the baseline was run to its end, in 506 s. The goal
of equal accuracy was missed: in one of two repeats the best epoch had one validation image fewer right (0.821 and 0.817
in the median).

One of 120 validation images is 0.008. Over six seeds the head's mean validation accuracy was 0.814 on features
computed in bf16, as above, and 0.811 with `trainer.precision=32-true`, whose features are the baseline's. On 120 test
images it was 0.756 and 0.749.""",
        "full_fine_tune": """\
Compiling the training stages does not pay on this CPU. It takes about 80 s, and a compiled step is slower: 27 images/s
against 36 in bf16, 23 against 27 in fp32. Half of a step is the gradients of the convolutions, which oneDNN computes
either way. So `compile=auto` does not compile on a CPU; the step that is not compiled reaches 3x.""",
        "extraction": """\
From files, the pass waits for the images. Decoding and resizing a PNG takes 3 ms of one of the two cores; the model
takes 3.3 ms of both.""",
    }
}

BEFORE_STEPS = """\
Images per second, EfficientNet-Lite0 at 224, batch {batch}, channels-last, AdamW: forward, backward, step;
images in memory."""

AFTER_STEPS = """\
"In bf16" means three things. The frozen stages run with BatchNorm and activation fused into the convolutions
(`models/fused.py`). Training stages run under autocast, with the gradients of depthwise convolutions in fp32
(`models/depthwise.py`). Weights, optimizer and head stay in fp32. On a CPU Thawline also keeps freed memory
(`machine/memory.py`). `trainer.precision=auto` computes in bf16 where the hardware does
(`machine/precision_choice.py`); `trainer.precision=32-true` computes in fp32 throughout."""
