"""The inspection of a data set: lines on the terminal, tables and pictures in a directory."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from project.data.module import ImageDataModule
from project.inspection import pictures
from project.inspection.duplicates import find_duplicates
from project.inspection.findings import CONTRADICTED, Findings, class_lines, pixel_lines, write_tables
from project.inspection.groups import Group, Pair, most_telling
from project.inspection.images import Images
from project.inspection.labels import Suspect, find_suspects
from project.inspection.scan import describe_files, scan
from project.system.files import atomic_write, output_errors
from project.system.text import counted
from project.use.predictor import Predictor

PICTURES = ("classes.png", "duplicates.png", "labels.png")
SHOWN = 60  # pairs of duplicates, and images with contradicted labels, in a picture


def inspect(data: ImageDataModule, directory: Path, predictor: Predictor | None = None) -> Findings:
    """Print what is found in a data set, and write findings.csv, classes.csv and pictures.

    Args:
        data: After setup.
        directory: Where tables and pictures are written; it is made. Other files in it stay.
        predictor: A network that was trained on the training images; it finds labels to look at.
    """
    images = Images(data.class_names, (data.train, data.val, data.test))
    height, width, channels = data.train.shape[1:]
    size = f"{width}x{height} pixels with {counted(channels, 'channel')}"
    print(f"{len(images):,} images in {data.num_classes:,} classes; the network gets them as {size}")
    _print([*class_lines(images), *describe_files(images)])
    scanned = scan(images)
    _print(pixel_lines(scanned.mean_and_std, (data.mean, data.std)))
    groups, blank = find_duplicates(images, scanned)
    suspects = None if predictor is None else find_suspects(predictor, images)
    findings = Findings(images, getattr(data, "problems", {}), groups, blank, suspects)
    _print(findings.lines())
    with output_errors(directory):
        directory.mkdir(exist_ok=True)
        write_tables(findings, directory)
    _draw(findings, directory)
    names = sorted(path.name for path in directory.iterdir() if path.name in ("findings.csv", "classes.csv", *PICTURES))
    print(f"{directory}: {', '.join(names)}", flush=True)
    return findings


def _print(lines: Sequence[str] | Iterator[str]) -> None:
    for line in lines:
        print(line, flush=True)


def _draw(findings: Findings, directory: Path) -> None:
    """Write the pictures. One that an earlier inspection has left, and that would be empty now, is deleted."""
    with output_errors(directory):
        for name in PICTURES:
            (directory / name).unlink(missing_ok=True)
    _draw_classes(findings.images, directory / PICTURES[0])
    if findings.groups:
        _draw_duplicates(findings.groups, findings.images, directory / PICTURES[1])
    if findings.suspects:
        _draw_suspects(findings.suspects, findings.images, directory / PICTURES[2])


def _save(image: Image.Image, path: Path) -> None:
    with output_errors(path.parent), atomic_write(path) as unfinished:
        image.save(unfinished, "PNG")


def _draw_classes(images: Images, path: Path) -> None:
    num_classes = len(images.class_names)
    shown = min(num_classes, pictures.CLASSES)
    places = [(images.labels == label).nonzero()[:, 0].tolist() for label in range(shown)]
    chosen = [members[: pictures.per_class(shown)] for members in places]
    pixels = iter(images.read([place for members in chosen for place in members]))
    classes = [
        (images.class_names[label], len(places[label]), [next(pixels) for _ in chosen[label]]) for label in range(shown)
    ]
    title = f"{len(images):,} images in {num_classes:,} classes"
    title += f", of which the first {shown} are shown" if shown < num_classes else ""
    _save(pictures.contact_sheet(classes, title), path)


def _draw_duplicates(groups: Sequence[Group], images: Images, path: Path) -> None:
    pairs = [pair for pair, _ in most_telling(groups, images)[:SHOWN]]
    pixels = iter(images.read([place for pair in pairs for place in (pair.first, pair.second)]))
    cells = [[(next(pixels), _caption(pair, place, images)) for place in (pair.first, pair.second)] for pair in pairs]
    number = f"{len(pairs)} of {counted(len(groups), 'group')}"
    title = f"duplicates, the most telling pair of each group: {number}; different labels come first, then equal pixels"
    _save(pictures.grid(cells, 5, title), path)


def _caption(pair: Pair, place: int, images: Images) -> list[pictures.Line]:
    differ = images.labels[pair.first] != images.labels[pair.second]
    crosses = images.part(pair.first) != images.part(pair.second)
    note = f"similarity {pair.similarity:.2f}" if place == pair.first else pair.kind.removeprefix("near duplicate, ")
    return [
        pictures.Line(images.class_name(place), pictures.WARNING if differ else pictures.BLACK),
        pictures.Line(images.part(place), pictures.WARNING if crosses else pictures.BLACK),
        pictures.Line(images.name(place)),
        pictures.Line(note, pictures.GREY),
    ]


def _draw_suspects(suspects: Sequence[Suspect], images: Images, path: Path) -> None:
    shown = suspects[:SHOWN]
    pixels = images.read([suspect.image for suspect in shown])
    cells = [[(image, _suspect_lines(suspect, images))] for suspect, image in zip(shown, pixels, strict=True)]
    title = f"{CONTRADICTED}: {len(shown)} of {counted(len(suspects), 'mistake')} on validation and test images"
    _save(pictures.grid(cells, 10, title), path)


def _suspect_lines(suspect: Suspect, images: Images) -> list[pictures.Line]:
    return [
        pictures.Line(f"label {images.class_name(suspect.image)}", pictures.WARNING),
        pictures.Line(f"probability {_percent(suspect.label_probability)}", pictures.WARNING),
        pictures.Line(f"predicted {images.class_names[suspect.predicted]}"),
        pictures.Line(f"probability {_percent(suspect.probability)}"),
        pictures.Line(f"{images.part(suspect.image)} {images.name(suspect.image)}", pictures.GREY),
    ]


def _percent(probability: float) -> str:
    """Small ones have more digits, which show their order."""
    return f"{100 * probability:.{1 if probability >= 0.001 else 3}f} %"
