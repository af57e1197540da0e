"""A folder that is divided already: train, test and perhaps val, each with the same classes."""

import shutil
from pathlib import Path

import pytest

from project.system.errors import UserError
from tests.data.test_image_folder import data, ready
from tests.data_sets import write_image_folder


def test_train_and_test_folders() -> None:
    for part, count in (("train", 8), ("test", 3)):
        write_image_folder(Path("images") / part, count=count)
    module = ready(classes=["dog", "cat"])
    assert module.class_names == ("dog", "cat")
    assert (module.training_images, len(module.train), len(module.test)) == (16, 12, 6)
    assert all(name.startswith("test/") for name in module.test.names)  # type: ignore[attr-defined]
    assert [name.split("/")[1] for name in module.test.names] == [("dog", "cat")[label] for label in module.test.labels]  # type: ignore[attr-defined]


def test_a_val_folder_is_the_validation_set() -> None:
    for part, count in (("train", 8), ("val", 3), ("test", 2)):
        write_image_folder(Path("images") / part, count=count)
    for classes in (None, ["dog", "cat"]):
        module = ready(val_size=None, classes=classes)
        assert [len(part) for part in (module.train, module.val, module.test)] == [16, 6, 4]
        for name, part in (("train", module.train), ("val", module.val), ("test", module.test)):
            assert all(file.startswith(f"{name}/") for file in part.names)  # type: ignore[attr-defined]
            assert [file.split("/")[1] for file in part.names] == [module.class_names[label] for label in part.labels]  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"--data\.val_size 4: images has a folder val; leave the option out"):
        data()
    everything = ready(val_size=0)
    assert (len(everything.train), len(everything.val)) == (22, 0)


def test_parts_must_have_the_same_classes() -> None:
    write_image_folder(Path("parts/train"), count=3)
    with pytest.raises(UserError, match=r"no test beside its train; .* or give parts/train alone"):
        data(data_dir="parts")
    write_image_folder(Path("parts/test"), count=3)
    shutil.copytree("parts/test/dog", "parts/test/horse")
    with pytest.raises(UserError, match="parts: horse is a class of test, but not of train"):
        data(data_dir="parts")
    shutil.rmtree("parts/test/horse")
    shutil.rmtree("parts/test/dog")
    with pytest.raises(UserError, match="parts: dog is a class of train, but not of test"):
        data(data_dir="parts")
    write_image_folder(Path("images"), count=3)
    Path("images/horse").mkdir()
    with pytest.raises(UserError, match="images: its folder horse has no files"):
        data()


def test_no_part_is_empty_of_whole_images() -> None:
    for part in ("train", "test"):
        write_image_folder(Path("images") / part, count=3)
    for file in Path("images/test").rglob("*.*"):
        file.write_text("no image")
    with pytest.raises(UserError, match="images: has no intact image for the test; add some"):
        ready(skip_damaged=True, batch_size=2, val_size=2)


def test_other_parts_are_no_classes() -> None:
    for part in ("train", "test", "more"):
        write_image_folder(Path("images") / part, count=3)
    with pytest.raises(UserError, match=r"6 of 18 files .* more/cat/0.jpg \(in no class's folder\)"):
        data(batch_size=2, val_size=2).prepare_data()
