"""Classes from a table: every usual form of the file, the same run as from sub-folders, and a line for each mistake."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from project.data.label_table import read_label_table
from project.system.errors import UserError
from tests.data.test_division import CONFIG, OPTIONS
from tests.data.test_image_folder import data, ready
from tests.data_sets import write_image_folder


def write(text: str, encoding: str = "utf-8") -> Path:
    Path("labels.csv").write_bytes(text.encode(encoding))
    return Path("labels.csv")


def table(folder: str = "images") -> str:
    names = sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.*"))
    return "file,class\n" + "".join(f"{name},{Path(name).parent.name}\n" for name in names if name[0] != ".")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize(
    "text",
    [
        "file,class\na/b.1.jpg,cat\nc.png,é t\n",
        "id;Label;FILE_NAME\n1;cat;a/b.1.jpg\n2;é t;./c.png\n\n",
        'category\tother\tpath\r\ncat\t\ta\\b.1.jpg\r\n"é t"\tx\tc.png\r\n',
    ],
)
def test_every_form_of_a_table(text: str, encoding: str) -> None:
    assert read_label_table(write(text, encoding)) == {"a/b.1.jpg": "cat", "c.png": "é t"}


WRONG = {
    "name,kind\na.jpg,cat\n": "its first line is 'name, kind'; name a column class (or label",
    "x,class\na.jpg,cat\n": "its first line is 'x, class'; name a column file (or filename",
    "": "its first line is ''; name a column file",
    "file,class\na.jpg,\n": "its line 2 has no class",
    "file,class\na.jpg,cat\n,dog\n": "its line 3 has no file",
    "file,class\na.jpg,cat\nb.jpg,dog\n./a.jpg,dog\n": "a.jpg is there twice, also in line 4; leave one out",
    "file,class\ncat/0.jpg,cat\ncat/0,dog\n": "cat/0.jpg is there twice, also as cat/0; leave one out",
    'file,class\ncat/0.jpg,"cat\ncat/1.jpg,dog\n': "its line 3: unexpected end of data; look for an open q",
    f"file,class\ncat/0.jpg,{'x' * 200_000}\n": "its line 2: field larger than field limit",
    "file,class\na.jpg,cat\n": "none of its 1 files is in images, such as a.jpg; give paths in that folder",
    "file,class\ncat/0.jpg,cat\ncat/1.png,cat\n": "all its files have the class cat; give two or more classes",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_one_line(text: str) -> None:
    write_image_folder(Path("images"), count=3)
    write(text)
    with pytest.raises(UserError, match=r"--data\.labels labels\.csv: ") as raised:
        data(labels="labels.csv")
    assert WRONG[text] in str(raised.value)


def test_another_encoding_and_no_file(error: Callable[..., str]) -> None:
    write_image_folder(Path("images"), count=3)
    write("file,class\na.jpg,é\n", "latin-1")
    words = ["fit", *CONFIG, *OPTIONS, "--data.labels"]
    assert error(*words, "labels.csv") == "--data.labels labels.csv: it is not UTF-8 (its byte 17); save it as UTF-8"
    assert error(*words, "none.csv") == "--data.labels none.csv: No such file or directory"


def test_the_set_is_that_of_sub_folders(capsys: pytest.CaptureFixture[str]) -> None:
    write_image_folder(Path("images"), count=20)
    write(table())
    ours, theirs = ready(labels="labels.csv"), ready()
    assert ours.fingerprint() == theirs.fingerprint()
    assert (ours.class_names, ours.mean, ours.std) == (theirs.class_names, theirs.mean, theirs.std)
    Path("labels.csv").rename("images/labels.csv")
    assert ready(labels="labels.csv").fingerprint() == theirs.fingerprint()
    assert "not in" not in capsys.readouterr().out


def test_names_without_endings_and_parts() -> None:
    for part, count in (("train", 6), ("test", 2)):
        write_image_folder(Path("images") / part, count=count)
    write(table().replace(".jpg", "").replace(".png", ""))
    module = ready(labels="labels.csv", val_size=2)
    assert module.image_counts() == {"training": [5, 5], "validation": [1, 1], "test": [2, 2]}
    names = ("cat", "dog")
    assert [name.split("/")[1] for name in module.test.names] == [names[label] for label in module.test.labels]  # type: ignore[attr-defined]


def test_missing_and_surplus_files_are_named_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    write_image_folder(Path("images"), count=20)
    lines = table().splitlines()
    write("\n".join([*lines[:-2], "dog/none.jpg,dog", "dog/other.jpg,dog"]))
    with pytest.raises(UserError, match=r"labels.csv: 2 of its files do not exist: dog/none.jpg, dog/other.jpg; corr"):
        ready(labels="labels.csv")
    assert not list(Path("images").glob(".checked*"))  # the files are checked after the table
    left_out = f"2 files in images are not in labels.csv: {lines[-2].split(',')[0]}, {lines[-1].split(',')[0]}\n"
    assert left_out in capsys.readouterr().out
    module = ready(labels="labels.csv", skip_damaged=True)
    assert sum(map(sum, module.image_counts().values())) == 38
    assert torch.equal(module.train.labels.unique(), torch.tensor([0, 1]))
