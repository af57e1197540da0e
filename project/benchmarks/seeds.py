"""One experiment over several seeds. Finished runs are saved, so that a long benchmark can be continued."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from project.benchmarks.fitting import fit_arguments, fit_in_new_process
from project.benchmarks.report import path_of, read, report, save, summary

CLOCKS = ("train_seconds", "fit_seconds", "process_seconds", "peak_gib")


def measure(configs: Sequence[str], seeds: int, fit_options: Sequence[str]) -> None:
    """Report the accuracy, the three clocks and the memory of one experiment over several seeds."""
    name = "-".join(Path(config).stem for config in configs)
    runs = runs_with_seeds(name, configs, seeds, fit_options)
    columns = [column for column in (*accuracy_names(runs[0]), *CLOCKS) if runs[0][column] is not None]
    rows = [{"seed": run["seed"], **{column: run[column] for column in columns}} for run in runs]
    command = fit_arguments(configs, fit_options)
    report(name, [*rows, *summary(runs, columns)], finished=True, command=command, runs=runs)


def runs_with_seeds(name: str, configs: Sequence[str], seeds: int, fit_options: Sequence[str]) -> list[dict[str, Any]]:
    """The results of the runs with seeds 0 .. seeds - 1.

    If the same command was stopped before its end, the runs that it finished are not repeated.
    """
    command = fit_arguments(configs, fit_options)
    file = path_of(name, command)
    saved: dict[str, Any] = read(file) if file.exists() else {"finished": True}
    runs: list[dict[str, Any]] = [] if saved["finished"] else saved["runs"][:seeds]
    for seed in range(len(runs), seeds):
        print(f"{' + '.join(configs)}, seed {seed} ({seed + 1} of {seeds})", flush=True)
        runs.append({"seed": seed, **fit_in_new_process([*command, "--seed_everything", str(seed)])})
        save(name, {"finished": False, "command": command, "runs": runs})
    return runs


def accuracy_names(results: Mapping[str, Any]) -> list[str]:
    """Names of the accuracies in the results of a run. The plain test accuracy is the first."""
    return sorted(
        (name for name in results if "accuracy" in name), key=lambda name: (not name.startswith("test"), name)
    )
