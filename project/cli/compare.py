"""Compare runs: the settings in which they differ, with their results.

Runs that differ by seed alone are one row: mean, standard deviation, and 95 % interval of the mean, which is cut to 0
to 100 % for an accuracy. Rows with common seeds are compared seed by seed, and their answers for each test image. Runs
that have not finished, or cannot be read, are shown with the reason.
"""

import os
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from project.cli.output import check_output
from project.compare.comparison import compare
from project.compare.csv_file import write_csv
from project.compare.terminal import print_comparison
from project.runs.directories import ROOT
from project.runs.results import Result
from project.system.errors import UserError
from project.system.files import output_errors

ENDINGS = {"html": (".html", ".htm"), "csv": (".csv",)}


def add_options(parser: ArgumentParser) -> None:
    def add(option: str, text: str, **arguments: Any) -> None:
        parser.add_argument(option, help=text, **arguments)

    add("runs", "Run directories, folders with runs, patterns, experiments.", nargs="*", type=str, default=[ROOT])
    where = "Only runs for which this holds, such as 'data.batch_size>100'; give it again for another condition."
    add("--where", where, action="append", type=str, default=[], metavar="CONDITION")
    add("--sort", "A setting or a figure. Groups are compared in this figure.", type=str, metavar="NAME")
    add("--baseline", "A run of the row that the others are compared with; else the best.", type=str, metavar="RUN")
    add("--html", "Write a page with tables, curves and pictures, which needs no network.", type=str, metavar="FILE")
    add("--csv", "Write a table with a row for each run.", type=str, metavar="FILE")
    add("--force", "Replace files that exist.", action="store_true")


def run(options: Namespace) -> Result:
    """Print the comparison, and write the files.

    Raises:
        UserError: a path means no run, an option does not fit the runs, or a file cannot be written.
    """
    html, csv = (_output(name, options) for name in ("html", "csv"))
    comparison = compare(options.runs, options.where, options.sort, options.baseline)
    print_comparison(comparison)
    if html:
        from project.compare.page import write_page

        with output_errors(html, "--html"):
            write_page(comparison, html)
        print(f"page: {html}")
    if csv:
        with output_errors(csv, "--csv"):
            write_csv(comparison, csv)
        print(f"table: {csv}")
    return Result()


def _output(name: str, options: Namespace) -> Path | None:
    """The file to write, which is checked."""
    if options[name] is None:
        return None
    path = Path(options[name])
    if path.suffix.lower() not in ENDINGS[name]:
        raise UserError(f"--{name} {path}: give a name that ends in {ENDINGS[name][0]}")
    if os.path.isdir(path):  # unlike Path.is_dir, this takes a name that is too long
        raise UserError(f"--{name} {path}: it is a directory; name a file")
    check_output(path, options.force, f"--{name}")
    return path
