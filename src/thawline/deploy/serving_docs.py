"""The page at /docs: the routes of the API as a table, without scripts and without a network."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: the API</title>
<style>body {{ font: 1rem/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
td {{ padding: .4rem 1rem .4rem 0; vertical-align: top }} code {{ white-space: nowrap }}</style>
<h1>{title}: the API</h1>
<p>{model}. <a href="openapi.json">openapi.json</a> describes it for programs. <a href="./">Try it with images.</a></p>
<table>{rows}</table></html>
"""


def routes_page(api: Mapping[str, Any]) -> str:
    """HTML of what an OpenAPI description says: each route with its parameters, bodies and answers."""
    about = api["info"]
    rows = "".join(
        f"<tr><td><code>{method.upper()} {escape(path)}</code><td>{'<br>'.join(map(escape, _lines(route)))}\n"
        for path, methods in api["paths"].items()
        for method, route in methods.items()
    )
    return _PAGE.format(title=escape(about["title"]), model=escape(about["description"]), rows=rows)


def _lines(route: Mapping[str, Any]) -> Iterator[str]:
    yield route.get("description", "")
    for one in route.get("parameters", []):
        default = one["schema"].get("default")
        said = [one.get("description"), "required" if one.get("required") else None, default and f"default {default}"]
        yield f"?{one['name']}=: {', '.join(filter(None, said))}"
    if bodies := route.get("requestBody", {}).get("content"):
        yield f"body: {' or '.join(bodies)}"
    for status, answer in route["responses"].items():
        yield f"{status}: {' or '.join([answer['description'], *answer.get('content', ())])}"
