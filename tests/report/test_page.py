"""report.html: every part is there, nothing of it is loaded from elsewhere, and a browser can read it."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from made_up import depth_sweep, write_run

from thawline.report.collect import Skipped, collect
from thawline.report.comparison import compare
from thawline.report.page import page
from thawline.report.svg import Point, Series, chart

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def made(root: Path) -> str:
    runs, _ = collect([root])
    return page(compare(runs, metric="test/accuracy"), [Skipped(Path("x/run.json"), "failed")], foot="made here")


def test_every_part_is_there_and_names_are_escaped(tmp_path: Path) -> None:
    advice = {"recommendation": {"strategy": "fine_tune", "unfreeze_depth": 9}, "reasons": ["Because <it> is."]}
    write_run(depth_sweep(tmp_path) / "advised", depth=3, seed=0, accuracy=0.9, advice=advice)
    text = made(tmp_path)
    for part in ("How deep to thaw", "What it costs", "Learning curves", "Classes"):
        assert f"<h3>{part}</h3>" in text
    for part in ("solar_cells", "What was frozen", "Left out"):
        assert f"<h2>{part}</h2>" in text
    assert text.count("<svg") == 1 + 3 + 2  # depth; time, compute, memory; train loss, val accuracy
    assert "&lt;bad&gt;" in text
    assert "<bad>" not in text
    assert "Because &lt;it&gt; is." in text
    assert "x/run.json: failed" in text
    assert text.count("<td>verified</td>") == 4 + 10  # groups and runs
    assert "http" not in text.replace("http://www.w3.org", "")


def test_each_set_of_images_has_a_part_of_its_own(tmp_path: Path) -> None:
    write_run(depth_sweep(tmp_path) / "other", depth=0, seed=0, accuracy=0.9, data={"name": "digits"})
    text = made(tmp_path)
    assert text.count('<table class="comparison">') == 2
    assert "<h2>digits</h2>" in text
    assert "Only runs on the same images are compared" in text


def test_each_group_has_its_colour_in_the_plots_of_the_costs(tmp_path: Path) -> None:
    text = made(depth_sweep(tmp_path)).partition("<h3>What it costs</h3>")[2].partition("<h3>Learning curves</h3>")[0]
    assert '<i class="c1"></i>unfreeze_depth=all' in text
    first = text[text.index("<svg") : text.index("</svg>")]
    assert [first.count(f'<circle class="c{n}"') for n in (0, 1, 2, 7)] == [1, 1, 1, 0]
    assert first.count('<polyline class="c7"') == 1  # the front


def test_confusions_are_summed_over_the_seeds(tmp_path: Path) -> None:
    text = made(depth_sweep(tmp_path))
    assert ">24</td>" in text  # 3 seeds of 8
    assert "<td>80.0%</td>" in text


def test_old_records_make_a_page_without_what_they_lack(tmp_path: Path) -> None:
    for depth in (0, 1):
        write_run(tmp_path / f"{depth}", depth=depth, seed=0, accuracy=0.5, curves={}, classes={}, settings={}, cost={})
    text = made(tmp_path)
    assert "How deep to thaw" in text
    assert "Learning curves" not in text
    assert "What it costs" not in text


def test_500_runs_take_less_than_3_seconds(tmp_path: Path) -> None:
    for number in range(500):
        write_run(tmp_path / f"{number}", depth=number // 5, seed=number % 5, accuracy=0.5 + number % 7 / 20)
    start = time.perf_counter()
    made(tmp_path)
    assert time.perf_counter() - start < 3.0


def test_points_lie_where_their_values_say() -> None:
    drawn = chart([Series("a", [Point(0, 0.0), Point(1, 1.0)])], x_label="x", y_label="y")
    (first, second) = [float(part.split('"')[0]) for part in drawn.split(' cy="')[1:]]
    assert first > second  # up is more
    assert drawn.count("<circle") == 2
    assert drawn.count("<polyline") == 1
    logarithmic = chart([Series("a", [Point(1, 0), Point(10, 0), Point(100, 0)])], x_label="x", y_label="y", log_x=True)
    places = [float(part.split('"')[0]) for part in logarithmic.split(' cx="')[1:]]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=0.2)


@pytest.mark.parametrize(
    ("x", "ticks"),
    [((1, 100), ["1", "2", "5", "10", "20", "50", "100"]), ((1, 10_000), ["1", "10", "100", "1000", "1e+04"]),
     ((1.02, 1.08), ["1.02", "1.03", "1.04", "1.05", "1.06", "1.07", "1.08"])],
)  # fmt: skip
def test_a_logarithmic_axis_has_round_numbers(x: tuple[float, float], ticks: list[str]) -> None:
    drawn = chart([Series("a", [Point(x[0], 0), Point(x[1], 0)])], x_label="x", y_label="y", log_x=True)
    labels = [part.split(">")[1].split("<")[0] for part in drawn.split('<text class="tick"')[1:] if "middle" in part]
    assert [name for name in labels if name in ticks] == ticks


def test_the_numbers_of_an_axis_have_as_many_digits() -> None:
    drawn = chart([Series("a", [Point(0, 0.66), Point(1, 0.74)])], x_label="x", y_label="y")
    labels = [part.split(">")[1].split("<")[0] for part in drawn.split('<text class="tick"')[1:] if '"end"' in part]
    assert labels == ["0.66", "0.68", "0.70", "0.72", "0.74"]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")
def test_a_browser_reads_the_page(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(made(depth_sweep(tmp_path / "runs")), encoding="utf-8")
    assert CHROMIUM is not None
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom")
    read = subprocess.run([CHROMIUM, *options, path.as_uri()], capture_output=True, text=True, timeout=60, check=True)
    assert "unfreeze_depth=2" in read.stdout
    assert read.stdout.count("<svg") == 6
