"""The pictures of the runs, side by side, inside a page."""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby, zip_longest
from pathlib import Path
from typing import NamedTuple

from project.compare.groups import Group
from project.compare.runs import Run

FOLDER = "pictures"
FIRST = ("mistakes", "confusion", "classes", "reliability", "curves")
LARGEST = "training_batch"
MOST_BYTES = 20 * 2**20  # of all pictures of a page; base64 makes a third more of them
PNG = b"\x89PNG\r\n\x1a\n"


class Picture(NamedTuple):
    """A PNG file of a run."""

    run: Run
    name: str
    content: bytes


class Pictures(NamedTuple):
    """The pictures that a page takes."""

    shown: list[Picture]
    left_out: int
    """Number of pictures that would make the page too large."""


def read_pictures(groups: Sequence[Group], most_bytes: int = MOST_BYTES) -> Pictures:
    """All pictures of the first run of each group, then of the second ones, until they have `most_bytes`.

    Training batches come last of all. The result is sorted by kind, then in the order of the groups.
    """
    runs = [(run, path) for run in _by_turns(groups) for path in sorted((run.path / FOLDER).glob("*.png"))]
    shown: list[Picture] = []
    left_out = total = 0
    for run, path in sorted(runs, key=lambda found: found[1].stem == LARGEST):
        content = _read(path, most_bytes - total)
        left_out += content is None
        if content:
            shown.append(Picture(run, path.stem, content))
            total += len(content)
    order = {run: place for place, run in enumerate(run for group in groups for run in group.runs)}
    return Pictures(sorted(shown, key=lambda picture: (_kind(picture.name), order[picture.run])), left_out)


def study_pictures(runs: Sequence[Run]) -> str:
    """Strips of the pictures beside the runs: those that main.py search has drawn of its study."""
    folders = dict.fromkeys(run.path.parent for run in runs)
    files = [(Run(folder, folder.name), path) for folder in folders for path in (folder / FOLDER).glob("*.png")]
    found = [Picture(run, path.stem, content) for run, path in files if (content := _read(path, MOST_BYTES))]
    return picture_strips(Pictures(sorted(found, key=lambda picture: picture.name), 0))


def picture_strips(pictures: Pictures) -> str:
    """A strip for each kind of picture, with all runs in it."""
    return "\n".join(
        f"<h3>{escape(name.replace('_', ' '))}</h3>\n"
        f'<div class="strip" tabindex="0" role="region" aria-label="{escape(name)}">{"".join(map(_figure, same))}</div>'
        for name, same in groupby(pictures.shown, key=lambda picture: picture.name)
    )


def _kind(name: str) -> tuple[int, str]:
    """What people look at first comes first."""
    return (FIRST.index(name) if name in FIRST else len(FIRST), name)


def _read(path: Path, most_bytes: int) -> bytes | None:
    """The content of a PNG file; empty if it cannot be read or is none, None if it is too large."""
    try:
        with path.open("rb") as file:
            start = file.read(len(PNG))
            if start != PNG:
                return b""
            return start + file.read() if path.stat().st_size <= most_bytes else None
    except OSError:
        return b""


def _figure(picture: Picture) -> str:
    label = escape(picture.run.label)
    data = b64encode(picture.content).decode()
    alt = f"{escape(picture.name)} of {label}"
    return f'<figure><figcaption>{label}</figcaption><img alt="{alt}" src="data:image/png;base64,{data}"></figure>'


def _by_turns(groups: Sequence[Group]) -> Iterator[Run]:
    for turn in zip_longest(*(group.runs for group in groups)):
        yield from (run for run in turn if run is not None)
