"""The page in headless Chromium: real files, top-5, what is wrong, a phone, the dark; and nothing from elsewhere."""

import re
import shutil
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from server import Server, serving

from thawline.deploy.serving_explain import can_explain

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt-get install chromium)")


@pytest.fixture(scope="module")
def server(made: Callable[[str], Path]) -> Iterator[Server]:
    with serving(made("stacked_probe"), "--max-mb", "1") as one:
        yield one


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def test_the_page_names_no_other_place_and_its_policy_allows_none(server: Server) -> None:
    page = (files("thawline.deploy") / "serving_page.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//\w+\.\w+/|@import|<link[^>]+stylesheet|<script[^>]+src", page)
    assert "innerHTML" not in page
    assert server.ask("GET", "/")[1].decode() == page
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head = connection.recv(2000)
    assert b"content-security-policy: default-src 'none';" in head


@in_a_browser
def test_files_get_their_answers(server: Server, browser: Any, colour_folder: Path, tmp_path: Path) -> None:
    page = browser.new_page()
    elsewhere, errors = [], []
    address = f"http://{server.host}:{server.port}/"
    page.on("request", lambda request: elsewhere.append(request.url) if address not in request.url else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(address)
    page.wait_for_selector("#model:has-text('stacked_probe')")
    damaged, large = tmp_path / "<b>damaged.png", tmp_path / "large.png"
    damaged.write_bytes(b"no image")
    large.write_bytes(b"\x00" * (2 << 20))
    red = colour_folder / "test" / "red" / "0.png"
    page.set_input_files("#pick", [red, damaged, large])
    page.wait_for_selector("#answers :is(.best, .error) >> nth=2")
    cards = {card.query_selector(".name").inner_text(): card for card in page.query_selector_all("#answers li")}
    good = cards["0.png"]
    wanted = server.ask("POST", "/predict", red.read_bytes())[1]["predictions"][0]
    assert good.query_selector(".best").inner_text() == wanted["label"]
    shown = [row.inner_text().split("\n") for row in good.query_selector_all(".row")]
    assert [(name, share) for name, share, *_ in shown] == [
        (one["label"], f"{100 * one['probability']:.1f} %") for one in wanted["top"]
    ]
    assert (good.query_selector(".unknown") is None) == (wanted["unknown_score"] is None)
    assert good.query_selector("img").evaluate("image => image.naturalWidth") > 0
    assert "not an image of a kind that is served" in cards["<b>damaged.png"].inner_text()
    assert "larger than 1 MiB" in cards["large.png"].inner_text()
    assert (good.query_selector("button.explain") is None) == (not can_explain())
    page.click("#clear")
    assert page.query_selector_all("#answers li") == []
    assert [url for url in elsewhere if not url.startswith(("blob:", "data:"))] == []
    assert [error for error in errors if "422" not in error] == []
    page.close()


@in_a_browser
def test_dropped_files_are_answered(server: Server, browser: Any, colour_folder: Path) -> None:
    page = browser.new_page()
    page.goto(f"http://{server.host}:{server.port}/")
    data = list((colour_folder / "test" / "blue" / "0.png").read_bytes())
    page.evaluate(
        """bytes => { const dropped = new DataTransfer();
        dropped.items.add(new File([new Uint8Array(bytes)], "dropped.png", {type: "image/png"}));
        document.getElementById("drop").dispatchEvent(
            new DragEvent("drop", {dataTransfer: dropped, bubbles: true, cancelable: true})); }""",
        data,
    )
    page.wait_for_selector("#answers .best")
    assert page.inner_text("#answers .name") == "dropped.png"
    page.close()


@in_a_browser
def test_the_unknown_score_is_shown_and_the_heatmap_where_there_is_one(server: Server, browser: Any) -> None:
    """With answers in the place of the server's: a model may tell neither."""
    page = browser.new_page()
    about = {"model": "m", "class_names": ["a"], "max_bytes": 9000, "explain": True}
    top = [{"label": "a", "probability": 1.0}]
    answer = {"path": "x", "label": "a", "unknown_score": 0.971, "unknown": True, "top": top, "error": None}
    page.route("**/model", lambda route: route.fulfill(json=about))
    page.route("**/predict*", lambda route: route.fulfill(json={"predictions": [answer]}))
    asked = []

    def explain(route: Any) -> None:
        asked.append((route.request.url.rpartition("/")[2], route.request.post_data_buffer))
        route.fulfill(body=b"GIF89a", content_type="image/png")

    page.route("**/explain*", explain)
    page.goto(f"http://{server.host}:{server.port}/")
    page.wait_for_selector("#model:text-is('m')")
    page.set_input_files("#pick", [{"name": "x.png", "mimeType": "image/png", "buffer": b"bytes"}])
    page.wait_for_selector(".unknown.odd")
    assert page.inner_text(".unknown") == (
        "unknown score 0.97: unlike the images that it knows; of its classes a is the likeliest"
    )
    assert page.inner_text(".best") == "unknown"
    before = page.get_attribute("img.picture", "src")
    page.click("button.explain")
    page.wait_for_selector("button.explain:text-is('The image')")
    assert asked == [("explain?label=a", b"bytes")]
    assert page.get_attribute("img.picture", "src") != before
    page.click("button.explain")
    assert page.get_attribute("img.picture", "src") == before
    page.close()


@in_a_browser
def test_it_fits_a_phone_and_has_a_dark_side(server: Server, browser: Any, colour_folder: Path) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        page = browser.new_page(
            viewport={"width": 360, "height": 740}, color_scheme=scheme, is_mobile=True, has_touch=True
        )
        page.goto(f"http://{server.host}:{server.port}/")
        page.set_input_files("#pick", [colour_folder / "test" / "red" / "0.png"])
        page.wait_for_selector("#answers .best")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate("document.getElementById('drop').getBoundingClientRect().height") >= 44  # a thumb's
        colours[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.close()
    assert colours["light"] == "rgb(244, 246, 248)"
    assert colours["dark"] == "rgb(20, 24, 29)"
