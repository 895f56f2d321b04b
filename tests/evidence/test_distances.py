"""The ranking page of domain distances, from made-up readings."""

from distances import FEWER, NUM_IMAGES, SOURCES, page
from thawline.advisor.distance import Distances, Reading


def test_the_page_ranks_the_sources_and_shows_every_size() -> None:
    by_source = {
        source: {
            count: Distances([], Reading(0.1 * (len(SOURCES) - number), 0.0, 1.0)) for count in (*FEWER, NUM_IMAGES)
        }
        for number, source in enumerate(SOURCES)
    }
    ranking, sizes = page({"tf_efficientnet_lite0": by_source}, {"tf_efficientnet_lite0": by_source}).split(
        "With fewer images"
    )
    ranked = [line.split("|")[1].strip() for line in ranking.splitlines() if line.startswith("| ")][2:]
    assert ranked == [*reversed(SOURCES), "uniform noise"]
    assert "| images | 8 | 16 | 32 | 64 | 128 | 256 |" in sizes
    assert sizes.count("(0.00 to 1.00)") == len(SOURCES) * 7  # six sizes, and the second reading
