"""What all pictures share: places and sizes in pixels, text that means only itself, and the finished pixels."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from numpy.typing import NDArray

DPI = 100
MARGIN = 12  # pixels
TITLE, NORMAL, SMALL = 11, 9, 6.5  # font sizes in points
# Colours of Okabe and Ito. Readers with any colour vision can tell them apart (jfly.uni-koeln.de/color).
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
MATRIX = "Blues"
FONT = "DejaVu Sans"  # comes with matplotlib


def new_figure(width: float, height: float, title: str) -> Figure:
    """A white figure of this size in pixels, with a title at the top left; wider if the title needs it."""
    width = max(width, text_width(title, TITLE) + 2 * MARGIN)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    add_text(figure, MARGIN, MARGIN, title, TITLE)
    return figure


def add_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place in pixels from the upper left corner of the figure."""
    x, y = figure.bbox.width, figure.bbox.height
    axes = figure.add_axes((left / x, 1 - (top + height) / y, width / x, height / y))
    axes.tick_params(labelsize=NORMAL)
    return axes


def add_text(figure: Figure, left: float, top: float, text: str, size: float, **options: Any) -> None:
    """Text, of one or more lines, at a place in pixels from the upper left corner of the figure."""
    place = left / figure.bbox.width, 1 - top / figure.bbox.height
    figure.text(*place, text, **{"va": "top", **text_style(text, size), **options})


def text_style(text: str, size: float) -> dict[str, Any]:
    """Options of any matplotlib text: a font that has the characters, and no mathematics between dollar signs."""
    return {"fontproperties": FontProperties(family=_families(text), size=size), "parse_math": False}


def text_width(text: str, size: float) -> int:
    """Width in pixels of the longest line; within a pixel or two, since kerning is left out."""
    return int(max(sum(_advance(character, size) for character in line) for line in text.split("\n"))) + 1


def shortened(text: str, width: float, size: float, keep_end: bool = False) -> str:
    """One visible line that is at most `width` pixels wide: the middle, or the beginning, becomes an ellipsis."""
    line = "".join(character if character.isprintable() else _escaped(character) for character in text)
    length = len(line)
    while length > 1 and (excess := text_width(_cut(line, length, keep_end), size) / width) > 1:
        length = max(1, min(length - 1, int(length / excess)))
    return _cut(line, length, keep_end)


def pixels(figure: Figure) -> NDArray[np.uint8]:
    """The figure as pixels [H, W, 3]."""
    canvas = FigureCanvasAgg(figure)
    with _without_glyph_warnings():
        canvas.draw()  # type: ignore[no-untyped-call]
    return np.array(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]


def _cut(line: str, length: int, keep_end: bool) -> str:
    if length >= len(line):
        return line
    first = 0 if keep_end else (length + 1) // 2
    last = length - first
    return f"{line[:first]}…{line[len(line) - last :]}"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


@contextmanager
def _without_glyph_warnings() -> Iterator[None]:
    """A character that no installed font has is drawn as a box."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Glyph .* missing from")
        yield


@cache
def _advance(character: str, size: float) -> float:
    """The pixels that a character takes in a line."""
    font = FontProperties(family=_families(character), size=size)
    measure: Any = RendererAgg(1, 1, DPI).get_text_width_height_descent  # type: ignore[no-untyped-call]
    with _without_glyph_warnings():
        widths = [measure(text, font, ismath=False)[0] for text in ("||", f"|{character}|")]
    return float(widths[1] - widths[0])


def _families(text: str) -> list[str]:
    """The standard font and, if it lacks characters of the text, installed fonts that have them."""
    missing = frozenset(ord(character) for character in text if character != "\n") - _standard_characters()
    return [FONT, *_fonts_with(missing)] if missing else [FONT]


@cache
def _standard_characters() -> frozenset[int]:
    return frozenset(get_font(findfont(FONT)).get_charmap())


@cache
def _fonts_with(characters: frozenset[int]) -> list[str]:
    names, missing = [], set(characters)
    for entry in fontManager.ttflist:
        if not missing or entry.name.startswith("Last Resort"):  # it is matplotlib's and has a box for any character
            continue
        with suppress(OSError, RuntimeError):  # a font file that is gone or damaged
            font = get_font(entry.fname)
            found = {character for character in missing if font.scalable and font.get_char_index(character)}
            names += [entry.name] if found else []
            missing -= found
    return names
