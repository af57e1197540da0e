"""The article's program as it stands, beside this project's experiments."""

import json
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import CIFAR10

from project.benchmarks.report import OUTPUT, path_of, report, save
from project.benchmarks.runs import CONFIGS, accuracies, command_of, measure

TARGETS = (0.612, 0.712, 0.85, 0.90, 0.94)
EXPERIMENTS = tuple(str(CONFIGS / f"{name}.yaml") for name in ("convnet", "speed61", "speed71", "speed"))


def article(
    data_dir: str, count: int, further: Sequence[str], epochs: int = 10, configs: Sequence[str] = EXPERIMENTS
) -> None:
    """The article's program, then each experiment over `count` seeds: seconds and accuracy."""
    program = _program(data_dir, epochs)
    ten_epochs = 10 * statistics.mean(epoch["seconds"] for epoch in program)
    rows = [_row("the article's program", [program[-1]["test/accuracy"]], [], [ten_epochs], ten_epochs)]
    experiments, files = {}, [OUTPUT / "article-program.json"]
    for config in map(Path, configs):
        name, words = f"article-{config.stem}", [*further, "--data.data_dir", data_dir]
        runs = measure(name, [str(config)], count, words)
        files.append(path_of(name, command_of([str(config)], words)))
        views = [name for name in accuracies(runs[0]) if name.startswith("test/accuracy_")]
        plain, averaged = ([run[name] for run in runs for name in names] for names in (["test/accuracy"], views[:1]))
        rows.append(_row(config.name, plain, averaged, [run["train_seconds"] for run in runs], ten_epochs))
        experiments[config.name] = runs
    command = [*configs, *further]
    report("article", rows, finished=True, command=command, program=program, experiments=experiments)
    report("article-targets", [_seconds_to(target, program, rows[1:]) for target in TARGETS], command=command)
    for file in files:
        file.unlink()


def _program(data_dir: str, epochs: int) -> list[dict[str, float]]:
    """Seconds and test accuracy of each epoch; not measured again where a benchmark is continued."""
    file = OUTPUT / "article-program.json"
    if file.exists():
        print(f"the article's program: as measured before this benchmark was cut short, in {file}", flush=True)
        kept: list[dict[str, float]] = json.loads(file.read_text())["epochs"]
        return kept
    measured = []
    for number, (seconds, accuracy) in enumerate(articles_program(data_dir, epochs), 1):
        measured.append({"seconds": seconds, "test/accuracy": accuracy})
        print(f"article's program, epoch {number}/{epochs}: {seconds:.1f} s, test {accuracy:.2%}", flush=True)
    save(file.stem, {"epochs": measured})
    return measured


def _row(
    name: str, plain: list[float], averaged: list[float], seconds: list[float], ten_epochs: float
) -> dict[str, Any]:
    mean = statistics.mean(seconds)
    return {
        "experiment": name,
        "runs": len(plain),
        "test/accuracy": statistics.mean(plain),
        "deviation": statistics.stdev(plain) if len(plain) > 1 else None,
        "of several views": statistics.mean(averaged) if averaged else None,
        "its deviation": statistics.stdev(averaged) if len(averaged) > 1 else None,
        "train_seconds": mean,
        "over the program's": mean / ten_epochs,
    }


def _seconds_to(target: float, program: list[dict[str, float]], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Training seconds to a test accuracy: the program's by its epochs, ours by the shortest run that reaches it."""
    done = (number for number, epoch in enumerate(program, 1) if epoch["test/accuracy"] >= target)
    reached = next(done, None)
    columns = {"plain": "test/accuracy", "of several views": "of several views"}
    row: dict[str, Any] = {"test accuracy": f"{target:.1%}"}
    row["the article's program"] = reached and sum(epoch["seconds"] for epoch in program[:reached])
    for label, column in columns.items():
        best = min(
            (one for one in rows if (one[column] or 0) >= target), key=lambda one: one["train_seconds"], default={}
        )
        row |= {label: best.get("train_seconds"), f"by, {label}": best.get("experiment")}
    return row


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
