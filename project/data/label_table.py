"""The classes of image files from a table (CSV)."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

FILE_COLUMNS = ("file", "filename", "file_name", "path", "image", "name", "id")
CLASS_COLUMNS = ("class", "label", "category", "breed", "target")
DELIMITERS = ",;\t"


def read_label_table(path: Path) -> dict[str, str]:
    """The class of each file, by the file's name as in the table.

    The first line names the columns. The file is in a column file, filename, file_name, path, image, name or id, and
    the class in a column class, label, category, breed or target; other columns do not matter. The columns are
    separated by commas, semicolons or tabs. The text is UTF-8.

    Raises:
        ValueError: the table cannot be read, or a name is missing or there twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (its byte {error.start:,}); save it as UTF-8") from error
    header = text.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=header.count)
    rows = _rows(text, delimiter)
    _, header_row = next(rows, (0, []))
    columns = [name.strip().lower() for name in header_row]
    places = [_place(columns, names) for names in (FILE_COLUMNS, CLASS_COLUMNS)]
    classes: dict[str, str] = {}
    for line, row in rows:
        name, label = (row[place].strip() if place < len(row) else "" for place in places)
        name = name.replace("\\", "/").removeprefix("./")
        if not (name and label):
            raise ValueError(f"its line {line} has no {'class' if name else 'file'}")
        if name in classes:
            raise ValueError(f"{name} is there twice, also in line {line}; leave one out")
        classes[name] = label
    return classes


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The number of the line and the cells of each row that is not empty. Raises ValueError."""
    rows = csv.reader(text.splitlines(), delimiter=delimiter, strict=True)
    try:
        yield from ((rows.line_num, row) for row in rows if any(row))
    except csv.Error as error:
        raise ValueError(f"its line {rows.line_num}: {error}; look for an open quotation mark") from error


def _place(columns: Sequence[str], names: Sequence[str]) -> int:
    """The place of the first of the columns `names` that is there. Raises ValueError."""
    place = next((columns.index(name) for name in names if name in columns), None)
    if place is None:
        raise ValueError(
            f"its first line is {', '.join(columns)!r}; name a column {names[0]} (or {', '.join(names[1:])})"
        )
    return place


def match_files(classes: dict[str, str], files: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The class of each of the `files` that is in the table, and the table's names that no file has.

    A name without an ending stands for the one file that has it with an ending.

    Raises:
        ValueError: two of the table's names stand for one file.
    """
    present = set(files)
    by_stem: dict[str, list[str]] = {}
    if any(name not in present for name in classes):
        for file in files:
            by_stem.setdefault(file.rpartition(".")[0], []).append(file)
    found, missing = {}, []
    for name, label in classes.items():
        candidates = [name] if name in present else by_stem.get(name, [])
        if len(candidates) == 1 and candidates[0] in found:
            raise ValueError(f"{candidates[0]} is there twice, also as {name}; leave one out")
        if len(candidates) == 1:
            found[candidates[0]] = label
        else:
            missing.append(name)
    return found, missing
