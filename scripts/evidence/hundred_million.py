"""100 million images in shards, on paper: the table of docs/images.md. Nothing is run.

python scripts/evidence/hundred_million.py

Every number is a measured piece of the pages, scaled, or an assumption; both stand here with their names.
"""

from thawline.markdown import markdown_table

IMAGES = 100_000_000
GPUS = (8, 64)

# Measured: docs/images.md (shards; decoding) and docs/gpu.md (H100).
LIST_S = 57 / 200_000  # an image, to read the lists of tar shards in one process; two cores that were busy
INDEX_BYTES = (626 - 572) * 1e6 / 200_000  # an image, in each process
SCAN_BYTES = 0.84e3  # an image, in the cache with `data.verify=true`
SCAN_MEMORY = 378e6 / 200_000  # an image, in each process that holds what reading showed
DECODE_S = 3.0e-3  # of one core, a JPEG of 500 x 375 to 224 pixels
PASS = 4_988  # images/s of one process, EfficientNet-Lite0 from images in memory; the model alone has 19,226
FULL_STEP = 3_858  # images/s of full fine-tuning on one GPU, EfficientNet-Lite0

# Assumed.
CORES = 16  # for each GPU, all of which decode
FILE_BYTES = 50e3  # a JPEG of 500 x 375
ROW_BYTES = 1280 * 2  # the head's features in bf16
PRICE = 3.0  # dollars for a GPU and an hour
REQUEST = 0.4e-6  # dollars for a request to a bucket; one for each image
EFFICIENCY = 0.9  # of several processes that train together; a pass shares nothing


def hours(seconds: float) -> str:
    """
    >>> hours(90.0), hours(7200.0)
    ('1.5 min', '2.0 h')
    """
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def pass_rate(gpus: int) -> float:
    """Images/s: decoding or putting batches together, whichever is slower."""
    return gpus * min(PASS, CORES / DECODE_S)


def rows() -> list[list[str]]:
    listed = IMAGES * LIST_S
    per_pass = {gpus: IMAGES / pass_rate(gpus) for gpus in GPUS}
    epoch = {gpus: IMAGES / (gpus * FULL_STEP * EFFICIENCY) for gpus in GPUS}
    table: dict[str, list[str]] = {
        "lists of the shards, read by one process": [hours(listed)] * 2,
        "the same, dollars for the GPUs that wait": [f"{gpus * listed / 3600 * PRICE:,.0f}" for gpus in GPUS],
        "index, in the memory of each process": [f"{IMAGES * INDEX_BYTES / 1e9:.0f} GB"] * 2,
        "`data.verify=true`: decoded by one machine": [hours(IMAGES * DECODE_S / (CORES * 8))] * 2,
        "the same, held by each process": [f"{IMAGES * SCAN_MEMORY / 1e9:.0f} GB"] * 2,
        "the same, in the cache": [f"{IMAGES * SCAN_BYTES / 1e9:.0f} GB"] * 2,
        "one pass, the frozen stages": [hours(per_pass[gpus]) for gpus in GPUS],
        "network in the pass, each 8 GPUs": [f"{pass_rate(8) * FILE_BYTES * 8 / 1e9:.0f} Gbit/s"] * 2,
        "requests in the pass, a second": [f"{pass_rate(gpus):,.0f}" for gpus in GPUS],
        "dollars of a pass: GPUs, requests": [
            f"{gpus * per_pass[gpus] / 3600 * PRICE:.0f}, {IMAGES * REQUEST:.0f}" for gpus in GPUS
        ],
        "head's features on disk; while they are put together": [
            f"{IMAGES * ROW_BYTES / 1e9:.0f} GB, {2 * IMAGES * ROW_BYTES / 1e9:.0f} GB"
        ] * 2,
        "`strategy=stacked_probe`: sums, a probe": ["24 MB"] * 2,
        "an epoch of full fine-tuning": [hours(epoch[gpus]) for gpus in GPUS],
        "the same, dollars": [f"{gpus * epoch[gpus] / 3600 * PRICE:,.0f}" for gpus in GPUS],
    }  # fmt: skip
    return [[name, *cells] for name, cells in table.items()]


def main() -> None:
    print(markdown_table(["100 million images", *(f"{gpus} GPUs" for gpus in GPUS)], rows()))


if __name__ == "__main__":
    main()
