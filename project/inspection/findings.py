"""What an inspection finds, as lines and as tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from project.data.normalisation import MeanAndStd
from project.inspection.groups import EXACT, Group, Pair, seen_before
from project.inspection.images import PARTS, Images
from project.inspection.labels import Suspect
from project.inspection.similarity import BLANK, SIDE
from project.system.files import atomic_write
from project.system.tables import TableWriter, open_text, path_text
from project.system.text import counted

FINDINGS = ("finding", "group", "part", "image", "class", "other_part", "other_image", "other_class", "score", "note")
MOST_CLASSES = 20  # that the terminal shows
CONTRADICTED = "labels that the network contradicts most; some may be wrong"
MANY = 0.2  # share of images with a near duplicate; above it, the images may be too simple to tell
MEASURE = f"standard deviation of a thumbnail of {SIDE}x{SIDE} pixels"
Row = list[str | float]


@dataclass(frozen=True)
class Findings:
    """What an inspection finds.

    images: All images.
    problems: Of each file that is not an intact image of a class.
    groups: The groups of duplicates.
    blank: The contrast of images of almost one colour, by their places; they have no near duplicates.
    suspects: Images that the network takes for another class, the most suspicious one first; None without a checkpoint.
    """

    images: Images
    problems: Mapping[str, str]
    groups: Sequence[Group]
    blank: Mapping[int, float]
    suspects: Sequence[Suspect] | None = None
    figures: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        duplicates = {image for group in self.groups for image in group.images}
        pairs = [pair for group in self.groups for pair in group.pairs if pair.kind in EXACT]
        exact = {image for pair in pairs for image in (pair.first, pair.second)}
        figures = {
            "images": len(self.images),
            "damaged_files": len(self.problems),
            "blank_images": len(self.blank),
            "exact_duplicates": len(exact),
            "duplicates": len(duplicates),
            "duplicate_groups": len(self.groups),
            "groups_with_different_labels": sum(len(group.labels(self.images)) > 1 for group in self.groups),
            **{f"{part}_images_seen_before": seen_before(self.groups, self.images, part) for part in PARTS[1:]},
        }
        if self.suspects is not None:
            figures["contradicted_labels"] = len(self.suspects)
        object.__setattr__(self, "figures", figures)

    def rows(self) -> Iterator[Row]:
        """The rows of findings.csv: damaged files, duplicates by group, images of one color, contradicted labels."""
        for name, problem in self.problems.items():
            yield ["damaged file", "", "", path_text(name), "", "", "", "", "", problem]
        for number, group in enumerate(self.groups, 1):
            for pair in group.pairs:
                yield self._pair_row(number, pair)
        for image, contrast in self.blank.items():
            note = f"score: {MEASURE}, from 0 to 255"
            yield ["almost one color", "", *self._named(image), "", "", "", round(contrast, 2), note]
        for suspect in self.suspects or ():
            name = self.images.class_names[suspect.predicted]
            note = f"score: probability of its label; of other_class {suspect.probability:.4f}"
            yield ["contradicted label", "", *self._named(suspect.image), "", "", name, suspect.label_probability, note]

    def _pair_row(self, number: int, pair: Pair) -> Row:
        differs = self.images.labels[pair.first] != self.images.labels[pair.second]
        note = "different labels" if differs else ""
        first, second = self._named(pair.first), self._named(pair.second)
        return [pair.kind, number, *first, *second, round(pair.similarity, 4), note]

    def _named(self, image: int) -> Row:
        name = self.images.name(image)
        return [self.images.part(image), path_text(name), self.images.class_name(image)]

    def lines(self) -> Iterator[str]:
        """What the terminal shows of the duplicates, damaged files and labels."""
        figures, counts = self.figures, self.images.counts.sum(0).tolist()
        if self.blank:
            yield f"images of almost one color ({MEASURE} below {BLANK:g} of 255): {figures['blank_images']:,}"
        yield f"images with the same pixels as another: {figures['exact_duplicates']:,}"
        groups, differing = figures["duplicate_groups"], figures["groups_with_different_labels"]
        yield f"images with a duplicate or near duplicate: {figures['duplicates']:,} in {counted(groups, 'group')}"
        if figures["duplicates"] - figures["exact_duplicates"] > MANY * len(self.images):
            yield "look at duplicates.png: small drawings, such as digits, may be alike without being the same"
        yield f"groups with different labels: {differing:,}"
        for part, before in (("validation", "training"), ("test", "training or validation")):
            count, total = figures[f"{part}_images_seen_before"], counts[PARTS.index(part)]
            if total:
                share = 100 * count / total
                yield f"{part} images with a duplicate in {before}: {count:,} of {total:,} ({share:.2f} %)"
        if self.suspects is not None:
            total = counts[1] + counts[2]
            mistakes = figures["contradicted_labels"]
            yield f"mistakes of the network on validation and test images: {mistakes:,} of {total:,}"
            if mistakes:
                yield f"labels.png shows the {CONTRADICTED}"


def class_lines(images: Images) -> Iterator[str]:
    """The number of images of each class in each part; of many classes those with the fewest and the most images."""
    names, counts = images.class_names, images.counts
    places = list(range(len(names)))
    if len(places) > MOST_CLASSES:
        by_size = sorted(places, key=lambda place: int(counts[place].sum()))
        places = [*by_size[: MOST_CLASSES // 2], *by_size[-MOST_CLASSES // 2 :]]
        yield f"the {MOST_CLASSES // 2} classes with the fewest images, and those with the most:"
    shown = [printable(names[place]) for place in places]
    width = max(len(name) for name in (*shown, "all classes"))
    yield f"{'class':<{width}}" + "".join(f"{part:>12}" for part in PARTS)
    for name, row in zip((*shown, "all classes"), [*counts[places].tolist(), counts.sum(0).tolist()], strict=True):
        yield f"{name:<{width}}" + "".join(f"{count:>12,}" for count in row)
    for part, column in zip(PARTS, counts.T, strict=True):
        if column.any() and not column.all():
            yield f"classes without {part} images: {int((column == 0).sum()):,}"


def pixel_lines(measured: MeanAndStd, used: MeanAndStd) -> Iterator[str]:
    """Mean and standard deviation of each channel, and those of the data module if they differ."""
    for name, values, others in zip(("mean", "standard deviation"), measured, used, strict=True):
        if values:
            shown, given = (", ".join(f"{value:.4f}" for value in numbers) for numbers in (values, others))
            differs = "" if shown == given else f"; the data set normalizes by {given}"
            yield f"{name} of the training and validation images: {shown}{differs}"


def write_tables(findings: Findings, directory: Path) -> None:
    """Write findings.csv and classes.csv."""
    with atomic_write(directory / "findings.csv") as unfinished, open_text(unfinished) as file:
        table = TableWriter(file, FINDINGS)
        for row in findings.rows():
            table.write(row)
    with atomic_write(directory / "classes.csv") as unfinished, open_text(unfinished) as file:
        table = TableWriter(file, ["class", *PARTS])
        images = findings.images
        for name, counts in zip(images.class_names, images.counts.tolist(), strict=True):
            table.write([name, *counts])


def printable(text: str) -> str:
    """Text with escapes in place of line breaks and control codes."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
