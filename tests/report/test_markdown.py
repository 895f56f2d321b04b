"""A Markdown table has its columns aligned as told, and every line as long as its head."""

import pytest

from thawline.markdown import markdown_table


def test_columns_are_aligned_and_bars_escaped() -> None:
    assert markdown_table(["a", "b"], [["x|y", "1"]]) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |"
    assert markdown_table(["a", "b", "c"], [], align="rcl").splitlines()[1] == "| ---: | :---: | --- |"


@pytest.mark.parametrize(("rows", "align"), [([["1"]], ""), ([["1", "2", "3"]], ""), ([], "l")])
def test_lines_of_other_lengths_are_refused(rows: list[list[str]], align: str) -> None:
    with pytest.raises(ValueError, match="a table of 2 columns has lines of other lengths"):
        markdown_table(["a", "b"], rows, align=align)
