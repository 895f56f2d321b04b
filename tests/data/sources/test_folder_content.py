import numpy as np
from PIL import Image

from thawline.data.sources.folder_content import contradiction, group, read_all


def test_group_numbers_equal_digests_alike() -> None:
    np.testing.assert_array_equal(group(np.array([b"b", b"a", b"b", b"c"])), [1, 0, 1, 2])


def test_contradiction_finds_a_pair_or_none() -> None:
    labels, groups = np.array([0, 1, 0, 1]), np.array([5, 6, 5, 5])
    assert contradiction(labels, groups) in {(0, 3), (2, 3)}
    assert contradiction(np.array([0, 1, 0]), np.array([5, 6, 5])) is None
    assert contradiction(np.array([], dtype=np.int64), np.array([], dtype=np.int64)) is None


def test_read_all_keeps_the_order_and_reports_by_path(tmp_path) -> None:
    for i in range(20):
        Image.new("L", (4, 4), i).save(tmp_path / f"{i:02}.png")
    (tmp_path / "07.png").write_bytes(b"")
    paths = np.array([f"{i:02}.png" for i in range(20)])
    content, reasons = read_all(tmp_path, paths)
    digests = content.digests
    assert list(np.flatnonzero(digests == b"")) == [7]
    assert list(reasons) == ["07.png"]
    assert reasons["07.png"].endswith("the file is empty")
    assert len(set(digests.tolist())) == 20
