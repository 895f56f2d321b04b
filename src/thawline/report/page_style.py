"""The look of every page: one style sheet, in the page itself."""

from importlib.resources import files


def page_style() -> str:
    """CSS for a `<style>` element; colours c0 to c7 are those of `svg.chart`."""
    return (files("thawline.report") / "page.css").read_text(encoding="utf-8")
