"""Starts on the sets at their real size, in generated files of the real formats, and on folders of many small files."""

import gzip
import hashlib
import json
import multiprocessing
import pickle
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from project.benchmarks.fitting import CONFIGS, MAIN, fit_arguments
from project.benchmarks.report import report
from project.data import CIFAR100, MNIST, SVHN

STEPS = 3
SUMS = "md5.json"
CLASSES = 10  # of the folders
# scripts/main.py, which takes the generated files of a set for the real ones.
PROGRAM = """
import sys
from project.benchmarks.sets import accept
from project.cli.main import main
from project.system.memory import peak_gib
from project.system.process import settle
name, directory, *sys.argv = sys.argv[1:]
settle()
accept(name, directory)
main()
print("mark peak", 1024 * peak_gib())
"""


class Marks(Callback):
    """Prints the time after the first step, and later the memory of this process and of a worker in MiB."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        if trainer.global_step == 1:
            print("mark step", time.time(), flush=True)
        if trainer.global_step == STEPS and sys.platform == "linux":
            print("mark main", _memory("self", "Rss"), flush=True)
            for worker in multiprocessing.active_children()[:1]:
                print("mark worker", _memory(str(worker.pid), "Private_Clean", "Private_Dirty"), flush=True)


def _memory(process: str, *kinds: str) -> float:
    """The memory of these kinds in MiB; see proc_pid_smaps(5)."""
    rows = [line.split() for line in Path("/proc", process, "smaps_rollup").read_text("utf-8").splitlines()[1:]]
    return sum(int(row[1]) for row in rows if row[0].removesuffix(":") in kinds) / 1024


def measure(files: int, divisor: int) -> None:
    """Report the start of mlp.yaml on each set, and the second start on a folder of `files` and of a tenth of them.

    Args:
        files: Number of small PNG files.
        divisor: Divides the number of images of the sets; 1 for their real size.
    """
    rows = []
    for name in SETS:
        with tempfile.TemporaryDirectory() as directory:
            rows.append(_start_on_set(name, Path(directory), divisor))
        print(rows[-1], flush=True)
    report("sets", rows, divisor=divisor)
    folders = []
    for count in (files // 10, files):
        with tempfile.TemporaryDirectory() as directory:
            folders.append(_start_on_files(count, Path(directory)))
        print(folders[-1], flush=True)
    report("sets-files", folders, files=files)


def _start_on_set(name: str, directory: Path, divisor: int) -> dict[str, Any]:
    train, test = (number // divisor for number in SETS[name].numbers)
    sums = {}
    for file, content in SETS[name].files(train, test).items():
        path = directory / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        sums[path.name] = hashlib.md5(content).hexdigest()
    (directory / SUMS).write_text(json.dumps({"sums": sums, "training_images": train}))
    options = [f"--data.data_dir={directory}", f"--data.batch_size={min(250, train // 10)}"]
    marks = start(name, directory, [CONFIGS / "mlp.yaml", CONFIGS / f"data/{name}.yaml"], options)
    pixels = (train + test) * 32 * 32 * 3 / 2**20
    row = {"set": name, "images": train + test, "MiB of pixels": pixels, "seconds to the first step": marks["step"]}
    return {**row, "peak MiB": marks["peak"]}


def _start_on_files(count: int, directory: Path) -> dict[str, Any]:
    write_small_files(directory / "images", count)
    options = [f"--data.data_dir={directory / 'images'}", "--data.image_size=16", "--data.in_memory=false"]
    options += [f"--data.batch_size={min(250, count // 20)}", "--trainer.limit_val_batches=0"]
    options += ["--trainer.limit_test_batches=0"]
    configs = [CONFIGS / "mlp.yaml", CONFIGS / "data/image_folder.yaml"]
    first, second = (start("", directory, configs, options) for _ in range(2))
    row = {"files": count, "seconds to the first step": first["step"], "at the second start": second["step"]}
    return {**row, "MiB": second.get("main"), "peak MiB": second["peak"], "a worker's own MiB": second.get("worker")}


def start(name: str, directory: Path, configs: list[Path], options: list[str]) -> dict[str, float]:
    """Fit a few steps in a new process. Return what it marks, with the time since its start."""
    arguments = fit_arguments(configs, [*options, f"--trainer.max_steps={STEPS}", "--pictures=false"])
    arguments += [f"--trainer.callbacks={__name__}.Marks", f"--trainer.default_root_dir={directory}"]
    started = time.time()
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, name, str(directory), str(MAIN), *arguments], capture_output=True, text=True
    )
    if process.returncode:
        print(process.stderr, end="", file=sys.stderr)
        sys.exit(process.returncode)
    lines = [line.split() for line in process.stdout.splitlines() if line.startswith("mark ")]
    marks = {name: float(value) for _, name, value in lines}
    return {**marks, "step": marks["step"] - started}


def accept(name: str, directory: str | Path) -> None:
    """Take the generated files of a set in `directory` for the real ones. The other sets stay."""
    if name not in SETS:
        return
    written = json.loads((Path(directory) / SUMS).read_text())
    sums = written["sums"]
    SETS[name].kind.training_images = written["training_images"]
    if name == "cifar100":
        files = datasets.CIFAR100
        files.train_list, files.test_list = [["train", sums["train"]]], [["test", sums["test"]]]
        files.meta = {**files.meta, "md5": sums["meta"]}
    elif name == "mnist":
        datasets.MNIST.resources = [(file, sums[file]) for file, _ in datasets.MNIST.resources]
    else:
        parts = {part: datasets.SVHN.split_list[part] for part in ("train", "test")}
        datasets.SVHN.split_list = {part: [url, file, sums[file]] for part, (url, file, _) in parts.items()}


def _images(count: int, classes: int, *shape: int) -> tuple[NDArray[np.uint8], list[int]]:
    """Noise that is darker at the border, so that files are compressed about as well as real ones, and labels."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
    pixels[:, :6] //= 64
    return pixels, (np.arange(count) % classes).tolist()


def _cifar100_files(train: int, test: int) -> dict[str, bytes]:
    files = {"meta": pickle.dumps({"fine_label_names": list(CIFAR100.class_names)})}
    for part, count in (("train", train), ("test", test)):
        pixels, labels = _images(count, 100, 3072)
        content = {"data": pixels, "fine_labels": labels, "coarse_labels": [label // 5 for label in labels]}
        files[part] = pickle.dumps(content, protocol=2)
    return {f"{datasets.CIFAR100.base_folder}/{name}": content for name, content in files.items()}


def _mnist_files(train: int, test: int) -> dict[str, bytes]:
    files = {}
    for name, _ in datasets.MNIST.resources:
        pixels, labels = _images(train if name.startswith("train") else test, 10, 28, 28)
        values = np.array(labels, np.uint8) if "labels" in name else pixels
        header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
        files[f"MNIST/raw/{name}"] = gzip.compress(header + values.tobytes(), 1)
    return files


def _svhn_files(train: int, test: int) -> dict[str, bytes]:
    files = {}
    for part, count in (("train", train), ("test", test)):
        pixels, labels = _images(count, 10, 32, 32, 3)
        file = BytesIO()
        digits = np.array([[label or 10] for label in labels], np.uint8)
        savemat(file, {"X": pixels.transpose(1, 2, 3, 0), "y": digits}, do_compression=True)
        files[f"SVHN/{part}_32x32.mat"] = file.getvalue()
    return files


def write_small_files(folder: Path, count: int) -> None:
    """Write PNG files of 16x16 pixels, of which a thousand differ, in a folder for each of ten classes."""
    contents = []
    for pixels in _images(min(count, 1000), 1, 16, 16, 3)[0]:
        Image.fromarray(pixels).save(file := BytesIO(), "PNG")
        contents.append(file.getvalue())
    for label in range(CLASSES):
        (folder / f"class {label}").mkdir(parents=True)
    for number in range(count):
        (folder / f"class {number % CLASSES}" / f"{number:06}.png").write_bytes(contents[number % len(contents)])


class _Set(NamedTuple):
    kind: Any
    """Its class."""
    files: Callable[[int, int], Mapping[str, bytes]]
    """The content of each file for a number of training and of test images."""
    numbers: tuple[int, int]
    """Of training and of test images."""


SETS = {
    "cifar100": _Set(CIFAR100, _cifar100_files, (50_000, 10_000)),
    "mnist": _Set(MNIST, _mnist_files, (60_000, 10_000)),
    "svhn": _Set(SVHN, _svhn_files, (73_257, 26_032)),
}
