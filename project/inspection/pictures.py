"""Pictures of a data set: some images of each class, pairs of duplicates, images with contradicted labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from project.pictures.canvas import text_style
from project.system.text import counted

SMALL, LARGE = 64, 128  # sides in pixels of the images of a class and of those in a pair
GAP = 6  # pixels between images
LINE, FONT_SIZE = 17, 13  # height in pixels of a line and of its text
BLACK, GREY, WARNING = "#000000", "#595959", "#B34700"
CLASSES = 100  # most classes of a contact sheet
ROWS = 25  # classes of a contact sheet below each other
PER_CLASS = {1: 12, 2: 8, 3: 6, 4: 5}  # number of images of each class, for a sheet of one to four columns
NAME_WIDTH = 150  # pixels for a class name


@dataclass(frozen=True)
class Line:
    """A line of text below an image."""

    text: str
    colour: str = BLACK


Captioned = tuple[Tensor, Sequence[Line]]
"""An image [H, W, C] uint8 and the lines below it."""


def contact_sheet(classes: Sequence[tuple[str, int, Sequence[Tensor]]], title: str) -> Image.Image:
    """Some images of each class, beside its name.

    Args:
        classes: The name of each class, its number of images, and some of these: [H, W, C] uint8.
        title: The first line.
    """
    columns = -(-len(classes) // ROWS)
    per_class = PER_CLASS[columns]
    rows = [_class_row(*described, per_class) for described in classes]
    return _sheet(rows, columns, title, by_column=True)


def per_class(num_classes: int) -> int:
    """How many images of each class a contact sheet shows."""
    return PER_CLASS[-(-min(num_classes, CLASSES) // ROWS)]


def grid(cells: Sequence[Sequence[Captioned]], columns: int, title: str) -> Image.Image:
    """Cells of one or more images beside each other, each with its lines."""
    return _sheet([_cell(cell) for cell in cells], columns, title)


def _class_row(name: str, count: int, pixels: Sequence[Tensor], per_class: int) -> Image.Image:
    row = _canvas(NAME_WIDTH + per_class * (SMALL + GAP), SMALL)
    _write(row, (0, SMALL // 2 - LINE), NAME_WIDTH - 2 * GAP, [Line(name), Line(counted(count, "image"), GREY)])
    for number, image in enumerate(pixels[:per_class]):
        _paste(row, image, NAME_WIDTH + number * (SMALL + GAP), SMALL)
    return row


def _cell(images: Sequence[Captioned]) -> Image.Image:
    num_lines = max(len(lines) for _, lines in images)
    cell = _canvas(len(images) * (LARGE + GAP) + GAP, LARGE + GAP + num_lines * LINE)
    for number, (pixels, lines) in enumerate(images):
        left = number * (LARGE + GAP)
        _paste(cell, pixels, left, LARGE)
        _write(cell, (left, LARGE + GAP // 2), LARGE, lines)
    return cell


def _sheet(cells: Sequence[Image.Image], columns: int, title: str, by_column: bool = False) -> Image.Image:
    """Cells of equal size below a title, in rows or, with `by_column`, in columns."""
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    width, height = cells[0].width + 2 * GAP, cells[0].height + GAP
    top = LINE + 2 * GAP
    sheet = _canvas(max(columns * width + GAP, int(_font(title).getlength(title)) + 2 * GAP), top + rows * height + GAP)
    _write(sheet, (GAP, GAP), sheet.width, [Line(title)])
    for number, cell in enumerate(cells):
        row, column = (number % rows, number // rows) if by_column else divmod(number, columns)
        sheet.paste(cell, (GAP + column * width, top + row * height))
    return sheet


def _canvas(width: int, height: int) -> Image.Image:
    return Image.new("RGB", (width, height), "white")


def _paste(canvas: Image.Image, pixels: Tensor, left: int, side: int) -> None:
    """Draw an image [H, W, C] into the middle of a square at the top. Small images are enlarged in whole steps."""
    array = pixels.numpy()
    image = Image.fromarray(array[..., 0] if array.shape[2] == 1 else np.ascontiguousarray(array[..., :3]))
    longest = max(image.size)
    factor = side // longest if longest <= side else side / longest
    width, height = (max(1, round(factor * length)) for length in image.size)
    image = image.resize((width, height), Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX)
    canvas.paste(image.convert("RGB"), (left + (side - width) // 2, (side - height) // 2))


def _write(canvas: Image.Image, place: tuple[int, int], width: int, lines: Sequence[Line]) -> None:
    draw = ImageDraw.Draw(canvas)
    for number, line in enumerate(lines):
        text = _shortened(line.text, width)
        draw.text((place[0], place[1] + number * LINE), text, line.colour, _font(text))


def _shortened(text: str, width: int) -> str:
    """The text without its middle, if it is too long: the ends tell names apart."""
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    left, right = text[: len(text) // 2], text[len(text) // 2 :]
    shown, font = text, _font(text)
    while font.getlength(shown) > width and right:
        left, right = (left[:-1], right) if len(left) >= len(right) else (left, right[1:])
        shown = f"{left}…{right}"
    return shown


@cache
def _font(text: str) -> ImageFont.FreeTypeFont:
    """A font that has the characters of the text."""
    *_, family = text_style(text, 1)["fontproperties"].get_family()
    return ImageFont.truetype(findfont(family), FONT_SIZE)
