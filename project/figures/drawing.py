"""The size, the colours and the files of all pictures."""

from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter

matplotlib.use("Agg")
OUTPUT = Path(__file__).parents[2] / "docs/figures"
MEASUREMENTS = Path("lightning_logs/figures")
# The colours of Okabe and Ito. Readers with any colour vision can distinguish them (jfly.uni-koeln.de/color).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = ("o", "s", "^", "D", "v", "P", "X")


def panels(count: int, height: float = 3.6) -> tuple[Figure, list[Axes]]:
    """`count` axes side by side. Together they are 9 inches wide, at 100 dots per inch: the width of a README."""
    figure, axes = pyplot.subplots(1, count, figsize=(9, height), squeeze=False, layout="constrained")
    return figure, list(axes[0])


def save(figure: Figure, name: str, directory: Path | None = None) -> Path:
    """Write the picture to a file, add it to TensorBoard, and return the file."""
    path = (directory or OUTPUT) / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    with SummaryWriter(str(MEASUREMENTS)) as board:
        board.add_figure(name, figure)  # and closes it
    return path
