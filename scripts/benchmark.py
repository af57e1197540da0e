#!/usr/bin/env python
"""Measures what the README and the configs claim. Run it on a quiet machine, one benchmark at a time.

benchmark.py seeds --config configs/convnet.yaml --seeds 3     an experiment over n seeds: accuracy, clocks, memory
benchmark.py article --seeds 3                                 the article's program and convnet.yaml, side by side

Further options go to every run, as in `--data.data_dir elsewhere`. Each benchmark prints a table and writes it, with
hardware and versions, to lightning_logs/benchmarks/. Three clocks: training (steps alone), fit (all that Trainer.fit
does), process (from the start of python to its last line).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import CIFAR10

ROOT = Path(__file__).parents[1]
OUTPUT = Path("lightning_logs/benchmarks")
COLUMNS = ("test/accuracy", "val/accuracy", "train_seconds", "fit_seconds", "process_seconds", "peak_gib")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, action in (("seeds", seeds), ("article", article)):
        command = commands.add_parser(name, allow_abbrev=False)
        command.set_defaults(action=action)
        command.add_argument("--seeds", type=int, default=3, help="runs of each experiment, with seeds 0, 1, ...")
        if name == "seeds":
            command.add_argument("--config", action="append", required=True, help="as in main.py fit")
        else:
            command.add_argument("--epochs", type=int, default=10, help="epochs of the article's program")
            command.add_argument("--data.data_dir", dest="data_dir", default="data", help="folder of CIFAR-10")
    options, further = parser.parse_known_args()
    options.action(options, further)


def seeds(options: argparse.Namespace, further: list[str]) -> None:
    """One experiment over several seeds."""
    report(*measure(options.config, options.seeds, further))


def article(options: argparse.Namespace, further: list[str]) -> None:
    """The article's program, then convnet.yaml: their training seconds for ten epochs, and their accuracy."""
    epochs = []
    for number, (seconds, accuracy) in enumerate(articles_program(options.data_dir, options.epochs), 1):
        epochs.append({"seconds": seconds, "test/accuracy": accuracy})
        print(f"article's program, epoch {number}/{options.epochs}: {seconds:.1f} s, test {accuracy:.2%}", flush=True)
    ten_epochs = 10 * statistics.mean(epoch["seconds"] for epoch in epochs)
    config = str(ROOT / "configs/convnet.yaml")
    name, measured = measure([config], options.seeds, [*further, "--data.data_dir", options.data_dir])
    ours = statistics.mean(10 * run["train_seconds"] / run["epochs"] for run in measured["runs"])
    ratio = {"program_seconds_per_10_epochs": ten_epochs, "convnet_train_seconds_per_10_epochs": ours}
    report(f"article-{name}", {**measured, "program": epochs, **ratio, "ratio": ours / ten_epochs})
    print(f"article's program: {ten_epochs:.1f} s of training for 10 epochs")
    print(f"convnet.yaml: {ours:.1f} s of training for 10 epochs, {ours / ten_epochs:.3f} of the program's")


def measure(configs: list[str], count: int, further: list[str]) -> tuple[str, dict[str, Any]]:
    """A name for the experiment, and its runs with seeds 0 .. count-1, each in a process of its own."""
    runs = []
    for seed in range(count):
        print(f"{' + '.join(configs)}, seed {seed} ({seed + 1} of {count})", flush=True)
        runs.append({"seed": seed, **fit([*configs], [*further, "--seed_everything", str(seed)])})
    name = "-".join(Path(config).stem for config in configs)
    environment = yaml.safe_load((Path(runs[0]["run"]) / "environment.yaml").read_text())
    return name, {"configs": configs, "options": further, "runs": runs, "environment": environment}


def fit(configs: list[str], further: list[str]) -> dict[str, Any]:
    """The results of one `main.py fit`, with the seconds and the peak memory of its process."""
    command = [sys.executable, str(ROOT / "scripts/main.py"), "fit", *further]
    for config in reversed(configs):
        command[3:3] = ["--config", config]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            print(f"  {line}", end="", flush=True)
            lines.append(line)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        sys.exit(process.returncode)
    file = Path(lines[-1].removeprefix("results: ").strip())
    kib = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    clocks = {"process_seconds": seconds, "peak_gib": kib / 2**20}
    return {**json.loads(file.read_text()), **clocks, "run": str(file.parent)}


def report(name: str, measured: dict[str, Any]) -> None:
    """Print the runs and their mean and deviation as a table, and write all of it as JSON."""
    environment, runs = measured["environment"], measured["runs"]
    packages = ", ".join(f"{package} {environment['packages'][package]}" for package in ("torch", "lightning"))
    caption = f"{environment['cpu']}, {environment['threads']} threads, {environment['device']}, {packages}"
    table = Table("seed", *COLUMNS, title=name, caption=f"{caption}, precision {environment['precision']}")
    for run in runs:
        table.add_row(str(run["seed"]), *(f"{run[column]:.4g}" for column in COLUMNS))
    table.add_section()
    for label, function in (("mean", statistics.mean), ("deviation", statistics.stdev)):
        if len(runs) > 1:
            values = (function([run[column] for run in runs]) for column in COLUMNS)
            table.add_row(label, *(f"{value:.4g}" for value in values))
    Console(width=110).print(table)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    file = OUTPUT / f"{name}.json"
    file.write_text(json.dumps(measured, indent=2) + "\n")
    print(file)


def articles_program(data_dir: str, epochs: int) -> Iterator[tuple[float, float]]:
    """The article's program as it stands: seconds of training of each epoch, and the test accuracy after it.

    Batches of 16 through torchvision's transforms and two loader workers, MNIST's normalisation, float32, Adam.
    """
    torch.manual_seed(0)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    train, test = (
        DataLoader(CIFAR10(data_dir, train=part, transform=transform), 16, shuffle=part, num_workers=2)
        for part in (True, False)
    )
    network = articles_network()
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(network.parameters(), lr=0.001)
    for _ in range(epochs):
        started, running_loss = time.perf_counter(), 0.0
        for number, (images, labels) in enumerate(train, 1):
            optimizer.zero_grad()
            loss = criterion(network(images), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            if number % 1000 == 0:
                print(f"  batch {number}: loss {running_loss / 1000:.3f}", flush=True)
                running_loss = 0.0
        yield time.perf_counter() - started, accuracy_of(network, test)


def articles_network() -> nn.Sequential:
    """299,434 parameters; the lines that the article's listing lost are filled in so that the shapes fit."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 128, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(128, 128, 3), nn.ReLU()),
        *(nn.Conv2d(128, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)),
    )


@torch.no_grad()
def accuracy_of(network: nn.Module, loader: DataLoader[Any]) -> float:
    right = sum(int((network(images).argmax(1) == labels).sum()) for images, labels in loader)
    return right / len(loader.dataset)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
