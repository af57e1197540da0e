"""What the pictures of a run add to the whole command, from the start of Python to its end."""

import statistics
from pathlib import Path

from project.benchmarks.fitting import CONFIGS, fit_arguments, fit_in_new_process
from project.benchmarks.look.part import Options, Row


def rows(options: Options) -> list[Row]:
    """Fits with and without pictures in turn, of CIFAR-10 and of the digits."""
    convnet, digits = CONFIGS / "convnet.yaml", CONFIGS / "data/digits.yaml"
    data = ["--data.data_dir", options.data_dir]
    without, added = _seconds(options, [convnet], data)
    digits_without, digits_added = _seconds(options, [convnet, digits], [])
    return [
        ("seconds of main.py fit of convnet.yaml without pictures", without, ""),
        ("percent that pictures add to it", 100 * added / without, "under 2"),
        ("seconds of main.py fit of convnet.yaml on the digits without pictures", digits_without, ""),
        ("seconds that pictures add to it", digits_added, "under 2"),
    ]


def _seconds(options: Options, configs: list[Path], words: list[str]) -> tuple[float, float]:
    """Medians: the seconds of a fit without pictures, and what pictures add to the fit beside it."""
    command = fit_arguments(configs, [*words, *options.fit_options])
    pairs = []
    for turn in range(options.turns):
        print(f"{configs[-1].name}, turn {turn + 1} of {options.turns}", flush=True)
        kinds = ("false", "true") if turn % 2 == 0 else ("true", "false")
        seconds = {kind: fit_in_new_process([*command, "--pictures", kind])["process_seconds"] for kind in kinds}
        pairs.append((seconds["false"], seconds["true"] - seconds["false"]))
    without, added = (statistics.median(values) for values in zip(*pairs, strict=True))
    return without, added
