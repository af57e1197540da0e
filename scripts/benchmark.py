#!/usr/bin/env python
"""Measures what the README and the configs claim. Run it on a quiet machine, one benchmark at a time.

Each prints a table with hardware, versions and given options and writes it to lightning_logs/benchmarks/; with other
options the file has another name. Three clocks: training (what a network makes of the data before its first step, and
the steps with their batches), fit (all that Trainer.fit does), process (from the start of python to its last line).
`seeds` and `article`, cut short, go on where they were when they are asked again. Options that are not the benchmark's
own go to main.py fit.
"""

import argparse
import signal
import sys

from project.benchmarks.article import EXPERIMENTS, article
from project.benchmarks.cost import cost
from project.benchmarks.damage import damage
from project.benchmarks.gpu import gpu
from project.benchmarks.loader import loader
from project.benchmarks.overhead import overhead
from project.benchmarks.resume import resume
from project.benchmarks.runs import CONFIGS, seeds
from project.benchmarks.safety import safety
from project.benchmarks.startup import startup
from project.system.process import settle

INTERRUPTED = 128 + signal.SIGINT
CONTINUED = ("seeds", "article")
IN_THIS_PROCESS = ("overhead", "safety", "gpu")  # what they measure; it is set up as that of main.py
CONVNET = ("--config", str(CONFIGS / "convnet.yaml"))


def main(args: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, text: str, **counted: int) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        for option, default in counted.items():
            added.add_argument(f"--{option}", type=int, default=default, help=f"how many; {default} if not given")
        if name not in ("seeds", "resume", "damage"):
            added.add_argument("--data.data_dir", dest="data_dir", default="data", help="folder of CIFAR-10")
        return added

    experiment = command("seeds", "an experiment over n seeds: accuracy, the three clocks, memory", seeds=3)
    experiment.add_argument("--config", action="append", required=True, help="as in main.py fit")
    compared = command("article", "the article's program and experiments beside it", seeds=5)
    compared.add_argument(
        "--config", action="append", help="an experiment; convnet and the speed ones if none is given"
    )
    command("overhead", "a step of our fit against a loop by hand and against arithmetic alone", turns=5)
    command("loader", "images per second: batches from memory against DataLoader with 0, 1 and 2 workers", turns=3)
    command("startup", "from the start of the process to the end of the first step, in parts", turns=5)
    command("cost", "seconds and peak memory as images and epochs grow", turns=3)
    command("resume", "runs killed at random moments and resumed, against runs left alone", kills=50, lanes=2)
    command("damage", "damaged checkpoints, and runs on disks that fill up", files=100, disks=20)
    command("safety", "what checkpoints and keyed randomness add to a step of convnet.yaml", turns=3)
    command("gpu", "speed.yaml on one GPU, by the records' rule and by the other two clocks", runs=10)
    options, further = parser.parse_known_args(args)
    if further and options.command in ("overhead", "loader", "resume", "damage"):
        parser.error(f"{options.command} has no option {further[0]}")
    if (fewest := min(getattr(options, name, 1) for name in ("seeds", "turns", "kills", "lanes", "runs"))) < 1:
        parser.error(f"{options.command} cannot count to {fewest}; give at least 1")
    try:
        _measure(options, further)
    except (KeyboardInterrupt, SystemExit) as stop:
        if isinstance(stop, SystemExit) and stop.code != INTERRUPTED:
            raise
        goes_on = options.command in CONTINUED
        kept = "the same command goes on after the runs that ended" if goes_on else "nothing is kept"
        print(f"{options.command}: stopped by Ctrl-C; {kept}", file=sys.stderr)
        sys.exit(INTERRUPTED)


def _measure(options: argparse.Namespace, further: list[str]) -> None:
    if options.command in IN_THIS_PROCESS:
        settle()
    {
        "seeds": lambda: seeds(options.config, options.seeds, further),
        "article": lambda: article(options.data_dir, options.seeds, further, configs=options.config or EXPERIMENTS),
        "overhead": lambda: overhead(options.data_dir, options.turns),
        "loader": lambda: loader(options.data_dir, options.turns),
        "startup": lambda: startup(options.turns, [*CONVNET, "--data.data_dir", options.data_dir, *further]),
        "cost": lambda: cost(options.data_dir, options.turns, further=further),
        "resume": lambda: resume(options.kills, options.lanes),
        "damage": lambda: damage(options.files, options.disks),
        "safety": lambda: safety(options.data_dir, options.turns, further),
        "gpu": lambda: gpu(options.data_dir, options.runs, further),
    }[options.command]()


if __name__ == "__main__":
    main()
