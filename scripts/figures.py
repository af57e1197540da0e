#!/usr/bin/env python
"""Draws a picture of docs/article.md from runs of its own, or all of them.

Pictures go to docs/figures/, and to TensorBoard under lightning_logs/figures. Long ones show progress and go on where
they were when they are asked again: what was measured is kept in lightning_logs/figures/NAME.json; delete it to measure
anew, as after a change of a config.
"""

import argparse
import sys
from functools import partial

from project.system.errors import UserError
from project.system.process import settle

try:
    from project.figures import approximation, backpropagation, curves, descent, pairs
except ModuleNotFoundError as error:
    print(f"error: there is no {error.name}: pip install -e '.[figures]'", file=sys.stderr)
    sys.exit(2)

PICTURES = {
    "descent": descent.draw,
    "approximation": approximation.draw,
    "backpropagation": backpropagation.draw,
    "pairs": pairs.draw,
    **{name: partial(curves.draw, name) for name in curves.COMPARISONS},
}


def main(args: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", choices=[*PICTURES, "all"])
    parser.add_argument("--data.data_dir", dest="data_dir", default="data", help="folder of CIFAR-10")
    options = parser.parse_args(args)
    for name in PICTURES if options.name == "all" else [options.name]:
        print(name, flush=True)
        try:
            print(PICTURES[name](data_dir=options.data_dir), flush=True)
        except UserError as error:
            parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    settle()
    main()
