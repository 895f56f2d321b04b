"""What a run knows of the command that asked for it."""

from pathlib import Path

from thawline.report.run_record import RUNGS
from thawline.runs.context import RunContext


def test_a_rung_is_resumed_with_the_whole_run() -> None:
    whole = RunContext(Path("outputs/run"), (), {}, False)
    rung = RunContext(whole.folder / RUNGS / "2_blend_3", (), {}, False, rung=2)
    assert whole.resumed_as == rung.resumed_as == Path("outputs/run")
