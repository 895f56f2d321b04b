import numpy as np

from thawline.data.sources.fingerprint import fingerprint


def test_same_parts_same_digest() -> None:
    assert fingerprint("a", 1, np.arange(3)) == fingerprint("a", 1, np.arange(3))
    assert len(fingerprint("a")) == 32


def test_boundaries_types_shapes_and_dtypes_count() -> None:
    parts = [
        ("ab", "c"),
        ("a", "bc"),
        ("abc",),
        (b"abc",),
        (1,),
        ("1",),
        (1.0,),
        (np.zeros((2, 3)),),
        (np.zeros((3, 2)),),
        (np.zeros((2, 3), dtype=np.int64),),
    ]
    assert len({fingerprint(*part) for part in parts}) == len(parts)


def test_byte_order_does_not_count() -> None:
    values = np.arange(4, dtype="<i8")
    assert fingerprint(values) == fingerprint(values.astype(">i8"))
