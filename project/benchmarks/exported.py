"""Exported networks: whether they answer as the network does, and how long one and 64 images take."""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from project.cli.main import main
from project.use.formats import ImagesToProbabilities, Onnx, Pt2
from project.use.predictor import load

BATCHES = (1, 64)
REPEATS = 30  # of which the median counts
Row = tuple[str, float, str]


def rows(checkpoint: str) -> list[Row]:
    """The figures of a checkpoint's network in each form: a name, the measured value and the goal."""
    with tempfile.TemporaryDirectory() as directory:
        return [*_equal_answers(checkpoint, Path(directory)), *_latencies(checkpoint, Path(directory))]


def _equal_answers(checkpoint: str, directory: Path) -> list[Row]:
    rows = []
    for form, name in (("onnx", "network.onnx"), ("pt2", "network.pt2"), ("safetensors", "network")):
        words = ["export", "--ckpt_path", checkpoint, "--to", form, "--output", str(directory / name)]
        figures = main(words).figures
        count = f"{figures['images']:,} {figures['source']}"
        rows.append((f"equal answers of {form} on {count}", figures["equal_answers"], "all"))
    return rows


@torch.inference_mode()
def _latencies(checkpoint: str, directory: Path) -> list[Row]:
    """Milliseconds from uint8 images to probabilities, on a CPU."""
    predictor = load(checkpoint)
    answers: dict[str, Any] = {
        "eager": ImagesToProbabilities(predictor),
        "pt2": Pt2.open(directory / "network.pt2"),
        "onnxruntime": Onnx.open(directory / "network.onnx"),
    }
    channels, height, width = predictor.image_shape
    images = torch.randint(0, 256, (max(BATCHES), height, width, channels), dtype=torch.uint8)
    return [
        (f"milliseconds of {name}, N = {count}", _milliseconds(answer, images[:count]), "")
        for count in BATCHES
        for name, answer in answers.items()
    ]


def _milliseconds(answer: Callable[[Tensor], Tensor], images: Tensor) -> float:
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        answer(images)
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)
