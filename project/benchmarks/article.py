"""The article's program, unchanged, compared with the experiments of this project."""

import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from project.benchmarks.fitting import CONFIGS, fit_arguments
from project.benchmarks.report import OUTPUT, path_of, read, report, save
from project.benchmarks.seeds import accuracy_names, runs_with_seeds
from project.data import CIFAR10

TARGETS = (0.612, 0.712, 0.85, 0.90, 0.94)
EXPERIMENTS = tuple(str(CONFIGS / f"{name}.yaml") for name in ("convnet", "speed61", "speed71", "speed"))
TTA = "with test-time augmentation"


def measure(
    data_dir: str, seeds: int, fit_options: Sequence[str], epochs: int = 10, configs: Sequence[str] | None = None
) -> None:
    """Report seconds and accuracy of the article's program, then of each experiment over several seeds."""
    configs = configs or EXPERIMENTS
    program = _program_epochs(data_dir, epochs)
    ten_epochs = 10 * statistics.mean(epoch["seconds"] for epoch in program)
    rows = [_row("the article's program", [program[-1]["test/accuracy"]], [], [ten_epochs], ten_epochs)]
    experiments, files = {}, [OUTPUT / "article-program.json"]
    for config in map(Path, configs):
        name, options = f"article-{config.stem}", [*fit_options, "--data.data_dir", data_dir]
        runs = runs_with_seeds(name, [str(config)], seeds, options)
        files.append(path_of(name, fit_arguments([config], options)))
        augmented = [name for name in accuracy_names(runs[0]) if name.startswith("test/accuracy_")][:1]
        plain, tta = ([run[name] for run in runs for name in names] for names in (["test/accuracy"], augmented))
        rows.append(_row(config.name, plain, tta, [run["train_seconds"] for run in runs], ten_epochs))
        experiments[config.name] = runs
    command = [*configs, *fit_options]
    report("article", rows, finished=True, command=command, program=program, experiments=experiments)
    report("article-targets", [_seconds_to(target, program, rows[1:]) for target in TARGETS], command=command)
    for file in files:
        file.unlink()


def _program_epochs(data_dir: str, epochs: int) -> list[dict[str, float]]:
    """Seconds and test accuracy of each epoch. A continued benchmark does not measure them again."""
    file = OUTPUT / "article-program.json"
    if file.exists():
        print(f"the article's program: measured before this benchmark was stopped, see {file}", flush=True)
        return list(read(file)["epochs"])
    results = []
    for epoch, (seconds, accuracy) in enumerate(train_program(data_dir, epochs), 1):
        results.append({"seconds": seconds, "test/accuracy": accuracy})
        print(f"article's program, epoch {epoch}/{epochs}: {seconds:.1f} s, test {accuracy:.2%}", flush=True)
    save(file.stem, {"epochs": results})
    return results


def _row(name: str, plain: list[float], tta: list[float], seconds: list[float], ten_epochs: float) -> dict[str, Any]:
    mean = statistics.mean(seconds)
    return {
        "experiment": name,
        "runs": len(plain),
        "test/accuracy": statistics.mean(plain),
        "deviation": statistics.stdev(plain) if len(plain) > 1 else None,
        TTA: statistics.mean(tta) if tta else None,
        "its deviation": statistics.stdev(tta) if len(tta) > 1 else None,
        "train_seconds": mean,
        "times faster": ten_epochs / mean,
    }


def _seconds_to(target: float, program: list[dict[str, float]], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Training seconds to a test accuracy: of the program's epochs, and of our shortest experiment that reaches it."""
    epochs = next((n for n, epoch in enumerate(program, 1) if epoch["test/accuracy"] >= target), None)
    row: dict[str, Any] = {"test accuracy": f"{target:.1%}"}
    row["the article's program"] = epochs and sum(epoch["seconds"] for epoch in program[:epochs])
    for label, column in {"plain": "test/accuracy", TTA: TTA}.items():
        accurate = [experiment for experiment in rows if (experiment[column] or 0) >= target]
        fastest = min(accurate, key=lambda experiment: experiment["train_seconds"], default={})
        row |= {label: fastest.get("train_seconds"), f"experiment, {label}": fastest.get("experiment")}
    return row


def train_program(data_dir: str, epochs: int) -> Iterator[tuple[float, float]]:
    """Train the article's program: the training seconds of each epoch, and the test accuracy after it.

    The program uses batches of 16, torchvision's transforms, two loader workers, the normalisation of MNIST, float32
    and Adam.
    """
    CIFAR10(data_dir, batch_size=16).prepare_data()  # downloads it if it is missing
    torch.manual_seed(0)
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    train, test = (
        DataLoader(datasets.CIFAR10(data_dir, train=part, transform=transform), 16, shuffle=part, num_workers=2)
        for part in (True, False)
    )
    network = article_network()
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(network.parameters(), lr=0.001)
    for _ in range(epochs):
        started, running_loss = time.perf_counter(), 0.0
        for batch, (images, labels) in enumerate(train, 1):
            optimizer.zero_grad()
            loss = criterion(network(images), labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            if batch % 1000 == 0:
                print(f"  batch {batch}: loss {running_loss / 1000:.3f}", flush=True)
                running_loss = 0.0
        yield time.perf_counter() - started, accuracy(network, test)


def article_network() -> nn.Sequential:
    """The article's network, 299,434 parameters. Its listing lacks some lines; we filled them in to fit the shapes."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(64, 128, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(128, 128, 3), nn.ReLU()),
        *(nn.Conv2d(128, 64, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)),
    )


@torch.no_grad()
def accuracy(network: nn.Module, loader: DataLoader[Any]) -> float:
    """The accuracy of the network on all batches of the loader, in [0, 1]."""
    right = sum(int((network(images).argmax(1) == labels).sum()) for images, labels in loader)
    return right / len(loader.dataset)  # type: ignore[arg-type]
