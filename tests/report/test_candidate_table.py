"""The candidates of scenario=auto in a terminal of 80 columns."""

from rich.console import Console

from thawline.features.expected import Expected
from thawline.report.candidate_table import candidate_table
from thawline.report.record_sections import CandidateEntry


def test_a_row_is_one_line_however_long_the_reason_is() -> None:
    taken = CandidateEntry("tf_efficientnet_lite0", 64, expected=Expected(0.977, 0.935, 1.0, 177, "leave-one-out"))
    taken.kept, taken.log_loss, taken.latency_ms, taken.size_mb = True, 0.0884, 3.14, 13.68
    reason = "not tried: budget.minutes=1.5: tf_efficientnet_lite0 at 224 pixels would take 60 s, 0 s are left"
    console = Console(width=80)
    with console.capture() as shown:
        console.print(candidate_table([taken, CandidateEntry("tf_efficientnet_lite0", 224, note=reason)]))
    lines = [" ".join(line.split()) for line in shown.get().splitlines()]
    assert lines[2:] == [
        "tf_efficientnet_lite0 64 0.977 (0.935 to 1.000) 0.088 3.1 13.7 taken",
        "tf_efficientnet_lite0 224 - - - - not tried",
    ]
