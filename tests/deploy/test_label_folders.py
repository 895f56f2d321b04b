"""Every label has a folder of its own, inside of the folder that was named."""

from thawline.deploy.label_folders import folder_name, label_folders, renamed


def test_a_label_is_never_a_way_out_of_the_folder() -> None:
    assert [folder_name(label) for label in ("cat", "a/b", "..", ".x", "", "a\\b")] == [
        *("cat", "a_b", "_.", "_x", "_", "a_b")
    ]


def test_folders_differ_on_file_systems_that_know_no_upper_case_too() -> None:
    labels = ["a\\b", "a/b", "a_b", "A_b", "cat", ".x", "_x", "unknown", "Unknown", "x/y"]
    folders = label_folders(labels)
    assert set(folders) == set(labels)
    assert len({name.casefold() for name in folders.values()}) == len(labels)
    kept = {label for label, name in folders.items() if name == folder_name(label)}
    assert kept == {"a_b", "cat", "_x", "unknown", "x/y"}
    assert label_folders(labels[::-1])["a/b"] == folders["a/b"]  # whatever the order of the classes


def test_a_folder_that_is_named_otherwise_is_told() -> None:
    assert list(renamed(label_folders(["a/b", "a_b", "c/d"]))) == [
        "images of a/b are in a_b-c14cddc0: a_b would be the folder of another class too"
    ]
    many = list(renamed(label_folders(["_" * 9, *("_" * n + "/" * (9 - n) for n in range(9)), "x"])))
    assert len(many) == 9
    many = list(renamed(label_folders([f"{n:07b}".replace("0", "/").replace("1", "_") for n in range(128)])))
    assert len(many) == 21
    assert many[-1] == "so are those of 107 classes more"
