#!/usr/bin/env python
"""Draws a picture of docs/article.md from real runs, or all pictures.

Pictures go to docs/figures/, and to TensorBoard under lightning_logs/figures. A long picture prints its progress. After
a stop, the same command continues there. Each curve has a study of main.py search, in lightning_logs/NAME-CURVE, which
the same command in a second terminal joins. Delete these directories, or lightning_logs/figures/pairs.json, to measure
again, for example after you changed a config.
"""

import argparse
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path

from project.benchmarks.endings import ends_in_one_line
from project.system.process import settle

COMPARISONS = ("layers", "optimizers_mlp", "optimizers_convnet", "batches")
PICTURES = ("descent", "approximation", "backpropagation", "pairs", *COMPARISONS)


def main(args: list[str] | None = None, own_process: bool = False) -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", choices=[*PICTURES, "all"])
    parser.add_argument("--data.data_dir", dest="data_dir", default="data", help="directory of CIFAR-10")
    options = parser.parse_args(args)
    for name in PICTURES if options.name == "all" else [options.name]:
        print(name, flush=True)
        with ends_in_one_line(name, "the same command continues after the measurements that ended"):
            if own_process:
                settle()
            print(drawing(name)(data_dir=options.data_dir), flush=True)


def drawing(name: str) -> Callable[..., Path]:
    """The function that draws this picture."""
    if name in COMPARISONS:
        return partial(import_module("project.figures.curves").draw, name)
    return import_module(f"project.figures.{name}").draw


if __name__ == "__main__":
    main(own_process=True)
