import os

from thawline.printable import printable


def test_any_name_of_a_file_becomes_one_line_of_text() -> None:
    name = os.fsdecode(b"caf\xe9\n\t \xec\x82\xac")
    assert printable(name) == "caf\\xe9\\n\\t \uc0ac"
    printable(name).encode()


def test_text_stays() -> None:
    assert printable("dataset (1), $0 [x] \u00fc 'q'") == "dataset (1), $0 [x] \u00fc 'q'"
