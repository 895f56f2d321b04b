from thawline.data.sources.class_names import class_name, distinct, look_alike, natural_order


def test_natural_order_is_total_and_stable() -> None:
    assert natural_order(["x10y2", "x2y10", "x2y9", "x2"]) == ["x2", "x2y9", "x2y10", "x10y2"]
    assert natural_order(["a", "A"]) == natural_order(["A", "a"])
    assert natural_order(["01", "1", "001"]) == ["001", "01", "1"]
    assert natural_order(["3 dogs", "dogs", "10 dogs"]) == ["3 dogs", "10 dogs", "dogs"]
    assert natural_order(["1", "-10", "10", "-1"]) == ["-10", "-1", "1", "10"]
    assert natural_order(["x-10", "x-9"]) == ["x-9", "x-10"]
    assert natural_order(["zebra", "école", "fox"]) == ["école", "fox", "zebra"]
    assert natural_order([]) == []


def test_composed_and_decomposed_letters_are_one_class() -> None:
    assert class_name("cafe\u0301") == class_name("caf\u00e9") == "caf\u00e9"


def test_a_class_name_is_text_in_one_line() -> None:
    assert class_name("caf\udce9") == "caf\\xe9"
    assert class_name("a\nb") == "a\\nb"


def test_names_that_look_alike_are_written_so_that_they_differ() -> None:
    assert look_alike("cat", ["dog", "cat\u200b"]) == "cat\u200b"
    assert distinct("cat\u200b", "cat") == "'cat\\u200b' and 'cat'"
    assert look_alike("Cat", ["cat"]) == "cat"
    assert distinct("cat", "Cat") == "'cat' and 'Cat'"
    assert look_alike("cat", ["dog", "cat"]) is None
