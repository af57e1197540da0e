#!/usr/bin/env python
"""Measures the figures that the README, the configs and docs/ give. Run one benchmark at a time on a quiet machine.

Each benchmark prints a table with the hardware, the versions and the given options. It also writes the table to
lightning_logs/benchmarks/. With other options it writes another file. There are three clocks. Training: the training
steps with their batches, and the initialisation that uses the training images. Fit: all that Trainer.fit does. Process:
from the start of Python to its end. If you start `seeds` or `article` again, it continues after the runs that ended.
Options that a benchmark does not know go to main.py fit.
"""

import argparse
import math
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from project.benchmarks.endings import ends_in_one_line
from project.benchmarks.many_processes import ASSUMPTIONS
from project.system.process import settle

CONTINUED = ("seeds", "article")
WITHOUT_FIT_OPTIONS = ("overhead", "loader", "resume", "launch", "damage", "use", "search", "sets")
LOOK_PARTS = ("calibration", "pictures", "compare", "inspect")  # modules of project/benchmarks/look
WITHOUT_CIFAR10 = ("seeds", "resume", "launch", "damage", "use", "search", "sets", "threads")
FIT_IN_THIS_PROCESS = ("overhead", "loader", "safety", "gpu", "step", "scale")  # they need the settings of main.py

AddBenchmark = Callable[..., argparse.ArgumentParser]


def main(args: list[str] | None = None) -> None:
    arguments = parse(args)
    name = arguments.pop("benchmark")
    remains = "the same command continues after the runs that ended" if name in CONTINUED else "nothing is kept"
    with ends_in_one_line(name, remains):
        if name in FIT_IN_THIS_PROCESS:
            settle()
        import_module(f"project.benchmarks.{name}").measure(**arguments)


def parse(args: list[str] | None = None) -> dict[str, object]:
    """The name of the benchmark and the arguments of its function."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_benchmarks(parser)
    options, fit_options = parser.parse_known_args(args)
    arguments = vars(options)
    name = arguments["benchmark"]
    if name in WITHOUT_FIT_OPTIONS and fit_options:
        parser.error(f"{name} has no option {fit_options[0]}")
    return arguments if name in WITHOUT_FIT_OPTIONS else {**arguments, "fit_options": fit_options}


def add_benchmarks(parser: argparse.ArgumentParser) -> None:
    add: AddBenchmark = partial(add_benchmark, parser.add_subparsers(dest="benchmark", required=True))
    config = {"dest": "configs", "action": "append"}
    seeds = add("seeds", "one experiment over several seeds: accuracy, the three clocks, memory", seeds=3)
    seeds.add_argument("--config", **config, required=True, help="config file; give it again to add another")
    article = add("article", "the article's program compared with experiments of this project", seeds=5)
    article.add_argument("--config", **config, help="an experiment; default: convnet, speed61, speed71 and speed")
    step = add("step", "the parts of a step: arithmetic, seconds, share of this machine's matrix product")
    step.add_argument("--config", **config, help="an experiment; default: five of them, and the article's program")
    step.add_argument("--steps", type=at_least(4), help="number of steps; default: fewer than an epoch has")
    add("overhead", "a step of main.py fit compared with a loop by hand and with the arithmetic alone", turns=5)
    add(
        "loader",
        "images per second compared with torchvision's DataLoader, from memory and from files; epochs from PNG files",
        turns=3,
        files=2000,
        images=60_000,
        epochs=2,
    )
    add_benchmarks_of_processes(add)
    add_benchmarks_of_parts(add, config)


def add_benchmarks_of_processes(add: AddBenchmark) -> None:
    """Add those that start, kill or repeat whole processes."""
    add("startup", "from the start of Python to the end of the first step, in parts", turns=5)
    add("cost", "seconds and peak memory for more images and more epochs", turns=3)
    add("resume", "runs killed at random moments and resumed, compared with runs never stopped", kills=50, lanes=2)
    add("threads", "an epoch with one thread and with all, alone and beside other programs", turns=3, epochs=4)
    lost = "runs in two processes, one of which is killed, under Lightning's launcher, torchrun and srun; then resumed"
    add("launch", lost, kills=20)
    killed = "a search whose workers are killed at random moments and started again"
    search = add("search", killed, trials=200, workers=2)
    search.add_argument("--torn", action="store_true", help="also leave torn lines in the journal")
    add("damage", "checkpoints that are cut or changed, and runs on disks that become full", files=100, disks=20)
    add("safety", "the time that checkpoints, seeds and checks add to a step of convnet.yaml", turns=3)


def add_benchmarks_of_parts(add: AddBenchmark, config: dict[str, Any]) -> None:
    """Add those of one kind of hardware, data or use."""
    gpu = add("gpu", "on one GPU: accuracy, the clocks, compiling, what the GPU waits for in a step", runs=10)
    gpu.add_argument("--config", **config, help="an experiment; default: speed.yaml with trainer/gpu.yaml")
    add(
        "use",
        "predict --images: speed, memory, start; exported networks: equal answers, latency",
        images=10_000,
        turns=3,
    )
    sets = "starts on CIFAR-100, MNIST and SVHN of real size, and on folders of small files: seconds, memory"
    add("sets", sets, files=200_000, divisor=1)
    scale = "one and two processes of convnet.yaml, their gradient exchange, data and noise scale; more are computed"
    many = add("scale", scale, turns=3, steps=360, files=1000, epochs=10)
    for name, (value, text) in ASSUMPTIONS.items():
        many.add_argument(f"--{name}", type=positive, default=value, help=f"assumption: {text}; default: {value:g}")
    look = add(
        "look",
        "calibrated probabilities, the time of the pictures, main.py compare of 200 runs, what main.py inspect finds",
        seeds=5,
        turns=3,
    )
    look.add_argument("--parts", type=parts, default=LOOK_PARTS, help=f"default: {','.join(LOOK_PARTS)}")


def add_benchmark(commands: Any, name: str, text: str, **counts: int) -> argparse.ArgumentParser:
    """A benchmark with an option for each of its `counts`, which has that default."""
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    for option, default in counts.items():
        count = at_least({"damage": 0, "use": 10 if option == "images" else 1}.get(name, 1))
        command.add_argument(f"--{option}", type=count, default=default, help=f"default: {default}")
    if name not in WITHOUT_CIFAR10:
        command.add_argument("--data.data_dir", dest="data_dir", default="data", help="directory of CIFAR-10")
    return command


def parts(text: str) -> tuple[str, ...]:
    """Parts of the benchmark look, which commas separate."""
    names = tuple(text.split(","))
    if unknown := [name for name in names if name not in LOOK_PARTS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is no part; give some of {','.join(LOOK_PARTS)}")
    return names


def positive(text: str) -> float:
    if not 0 < float(text) < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is no size; give a positive number")
    return float(text)


def at_least(minimum: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        if int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text} is too small; give at least {minimum}")
        return int(text)

    return count


if __name__ == "__main__":
    main()
