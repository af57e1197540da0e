"""A trained network in use: `main.py predict --images` and `main.py export`."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from project.benchmarks import exported
from project.benchmarks.fitting import CONFIGS, fit_arguments
from project.benchmarks.report import report
from project.cli.main import main

SIDE = 32  # pixels of the images
FOLDERS = 20  # of the files, which are as many as the largest measurement of memory needs
# The network of a checkpoint on images in memory, in the same batches and on the same device as predict --images.
BARE = """
import sys, time, torch
import project
from project.system.memory import keep_freed_memory
from project.use.predictor import BATCH
keep_freed_memory()
path, count, side = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
predictor = project.load(path, "cuda" if torch.cuda.is_available() else "cpu")
images = torch.randn(count, side, side, 3, device=predictor.device).permute(0, 3, 1, 2)
with torch.inference_mode():
    predictor.network(images[:BATCH]).cpu()
    started = time.perf_counter()
    for batch in images.split(BATCH):
        predictor.network(batch).cpu()
print(time.perf_counter() - started)
"""
# scripts/main.py, which writes its peak memory in GiB to a file.
PREDICT = """
import resource, sys
from pathlib import Path
from project.system.memory import peak_gib
from project.cli.main import main
file, *words = sys.argv[1:]
main(words, own_process=True)
workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
Path(file).write_text(str(peak_gib() + workers))
"""


class Prediction(NamedTuple):
    """What a run of predict --images takes."""

    seconds: float
    """Of the whole process."""
    first_line: float
    """Seconds from the start of Python to the first printed line."""
    gib: float
    """Peak memory of the main process and of the largest worker together."""


def measure(images: int, turns: int) -> None:
    """Report the figures with `images` files for the speed; a tenth of them and twice as many for the memory."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        folders = _write_folders(root / "images", images // 10)
        resnet, convnet = (_train(network, root, folders[0].parent) for network in ("resnet18", "convnet"))
        starts = _starts(convnet, next(folders[0].iterdir()), turns)
        speed = _speed(resnet, folders[:10], images, turns, min(seconds for _, seconds, _ in starts))
        rows = [
            *speed,
            *_memory(convnet, folders, turns),
            *_start_rows(starts),
            *_light_starts(turns),
            *exported.rows(convnet),
        ]
    report("use", [{"figure": name, "measured": value, "goal": goal} for name, value, goal in rows], images=images)


def _speed(
    checkpoint: str, folders: Sequence[Path], images: int, turns: int, start: float
) -> list[tuple[str, float, str]]:
    """Images per second of the network alone and of predict --images, the best of all turns.

    Args:
        checkpoint: Of the network.
        folders: Of all files.
        images: Number of files.
        turns: Number of measurements.
        start: Seconds of predict --images on one file, which do not count: they are Python's start.
    """
    bare, whole = [], []
    for turn in range(turns):
        command = [sys.executable, "-c", BARE, checkpoint, str(images), str(SIDE)]
        bare.append(float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))
        whole.append(_predict(checkpoint, folders).seconds)
        print(f"turn {turn + 1} of {turns}", flush=True)
    network, files = images / min(bare), (images - 1) / (min(whole) - start)
    return [
        ("images per second of resnet18 in memory", network, ""),
        ("images per second of predict --images", files, ""),
        ("ratio of the two", files / network, "at least 0.9"),
        ("images per second of predict --images, with the start of Python", images / min(whole), ""),
    ]


def _memory(checkpoint: str, folders: Sequence[Path], turns: int) -> list[tuple[str, float, str]]:
    """Medians, since the peak differs by some percent from run to run with the order of small blocks in the heap."""
    peaks = [[_predict(checkpoint, given).gib for given in (folders[:1], folders)] for _ in range(turns)]
    few, many = (statistics.median(peak) for peak in zip(*peaks, strict=True))
    count = len(list(folders[0].iterdir()))
    return [
        (f"peak memory at {count:,} files in GiB", few, ""),
        (f"peak memory at {FOLDERS * count:,} files in GiB", many, ""),
        ("ratio of the two", many / few, "at most 1.05"),
    ]


def _starts(checkpoint: str, file: Path, turns: int) -> list[tuple[float, float, float]]:
    """Seconds of the import of torch, and of predict --images on one file: of the process, and to its first line."""
    starts = []
    for _ in range(turns):
        torch_import = _seconds([sys.executable, "-c", "import torch"])
        prediction = _predict(checkpoint, [file])
        starts.append((torch_import, prediction.seconds, prediction.first_line))
    return starts


def _start_rows(starts: Sequence[tuple[float, float, float]]) -> list[tuple[str, float, str]]:
    torch_import, _, first_line = (statistics.median(seconds) for seconds in zip(*starts, strict=True))
    return [
        ("seconds of python -c 'import torch'", torch_import, ""),
        ("seconds to the first line of predict --images on one file", first_line, ""),
        ("ratio of the two", first_line / torch_import, "at most 1.5"),
    ]


def _light_starts(turns: int) -> list[tuple[str, float, str]]:
    commands = {
        "main.py export --help": ("from project.cli.main import main; main(['export', '--help'])", "at most 1"),
        "python -c 'import project'": ("import project", "at most 0.1"),
    }
    return [
        (f"seconds of {name}", statistics.median(_seconds([sys.executable, "-c", code]) for _ in range(turns)), goal)
        for name, (code, goal) in commands.items()
    ]


def _seconds(command: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def _predict(checkpoint: str, images: Sequence[Path]) -> Prediction:
    """Run predict --images in a new process that also writes a CSV file."""
    with tempfile.TemporaryDirectory() as directory:
        peak, output = Path(directory, "peak"), Path(directory, "out.csv")
        words = ["predict", "--ckpt_path", checkpoint, "--output", str(output), "--images", *map(str, images)]
        started = time.perf_counter()
        with subprocess.Popen([sys.executable, "-c", PREDICT, str(peak), *words], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()  # of the first image, since --ckpt_path is a file
            first_line = time.perf_counter() - started
            process.communicate()
        seconds = time.perf_counter() - started
        if process.returncode:
            sys.exit(process.returncode)
        return Prediction(seconds, first_line, float(peak.read_text("utf-8")))


def _train(network: str, root: Path, images: Path) -> str:
    """The checkpoint of a network after one step."""
    options: dict[str, Any] = {
        "data.data_dir": images,
        "data.image_size": SIDE,
        "data.batch_size": 4,
        "trainer.max_steps": 1,
        "trainer.limit_val_batches": 0,
        "trainer.limit_test_batches": 0,
        "trainer.default_root_dir": root,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    configs = [CONFIGS / f"{network}.yaml", CONFIGS / "data/image_folder.yaml"]
    with redirect_stdout(StringIO()):
        run = main(fit_arguments(configs, words)).directory
    return f"{run}/checkpoints/last.ckpt"


def _write_folders(root: Path, count: int) -> list[Path]:
    """FOLDERS folders, each with `count` PNG files of smooth colours, of which no two are equal."""
    random = np.random.default_rng(0)
    folders = [root / f"{number:02}" for number in range(FOLDERS)]
    for folder in folders:
        folder.mkdir(parents=True)
        for number in range(count):
            corners = Image.fromarray(random.integers(0, 256, (4, 4, 3), np.uint8))
            corners.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    return folders
