"""The honest end of a search: the best settings are run again with new seeds, and only the winner is tested."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from project.compare.statistics import summarise
from project.runs.results import Result
from project.search.best import remove_checkpoints, write_best
from project.search.fits import Fits
from project.search.study import SETTINGS, VALUES, Study
from project.search.texts import difference, shown
from project.search.worker import Worker
from project.system.errors import UserError
from project.system.files import atomic_write

SEED = "seed_everything"
TRIAL = "trial"  # attribute: the number in the search
START = -1  # that of the starting settings
TESTED = "tested.json"


@dataclass(frozen=True)
class Confirmation:
    """A second study in the journal, whose trials are the best settings and the starting ones, each with all seeds."""

    search: Study
    start: Mapping[str, Any]
    """The settings of the experiment."""
    count: int
    """Number of seeds."""
    keep: int
    """Number of the best settings."""

    def run(self, fits: Fits, words: Sequence[str], command: str) -> Result:
        """Run the settings that have not been run, choose by the mean, test the winner, and write best.yaml.

        Raises:
            UserError: all runs have failed.
        """
        study = self._study()
        for number in Worker(study, fits, words, limit=0).work():
            print(f"confirmed {self._line(study, study.trials()[number])}", flush=True)
        if not (finished := study.finished()):
            raise UserError(f"{study.runs}: no run has finished; its logs say why")
        for trial in finished:
            print(self._line(study, trial, finished))
        winner = finished[0]
        file = write_best(study, winner, command, self.search.directory)
        print(f"winner: {_name(winner)}; run it: {command} --config {file}")
        figures = self._test(study, winner, fits)
        remove_checkpoints(study, 1)
        return Result(self.search.directory, {**study.settings_of(winner), **figures})

    def _study(self) -> Study:
        directory, name = self.search.directory, f"confirm{self.count}"
        space = replace(self.search.space, ranges={}, repeated=(SEED, self._seeds()))
        study = Study(directory, space, name, directory.with_name(f"{directory.name}-{name}"))
        best = [(trial.number, self.search.settings_of(trial)) for trial in self.search.finished()[: self.keep]]
        own = {name: self.start.get(name) for name in self.search.space.ranges}
        with study.lock:
            known = {trial.user_attrs[TRIAL] for trial in study.trials()}
            for number, settings in [(START, {}), *(pair for pair in best if pair[1] != own)]:
                if number not in known:
                    study.optuna.enqueue_trial({}, user_attrs={TRIAL: number, SETTINGS: settings})
        return study

    def _seeds(self) -> list[int]:
        """Seeds that the search has not used."""
        repeated = self.search.space.repeated
        used = repeated[1] if repeated and repeated[0] == SEED else [self.start[SEED]]
        return [max(used) + 1 + n for n in range(self.count)]

    def _line(self, study: Study, trial: FrozenTrial, finished: Sequence[FrozenTrial] = ()) -> str:
        """The mean of a trial's seeds, and the mean difference to the starting settings with the same seeds."""
        objective = study.space.objective
        values = trial.user_attrs.get(VALUES)
        if values is None:
            return f"{_name(trial)}: {trial.state.name.lower()}"
        line = f"{_name(trial)}: {objective} {_mean(values, objective)}"
        start = next((other.user_attrs[VALUES] for other in finished if other.user_attrs[TRIAL] == START), None)
        if start is None or trial.user_attrs[TRIAL] == START:
            return line
        pairs = summarise([value - before for value, before in zip(values, start, strict=True)])
        low, high = pairs.interval or (pairs.mean, pairs.mean)
        verdict = "" if low > 0 or high < 0 else "; this may be chance"
        interval = f"95 % interval {difference(low, objective)} to {difference(high, objective)}"
        return f"{line}; difference to the starting settings {difference(pairs.mean, objective)}, {interval}{verdict}"

    def _test(self, study: Study, winner: FrozenTrial, fits: Fits) -> dict[str, float]:
        """Test the runs of the winner, once in the life of a study."""
        file = study.runs / TESTED
        with study.lock:
            if not file.exists():
                tested = [dict(fits.test(run)) for run in study.runs_of(winner.number)]
                with atomic_write(file) as unfinished:
                    unfinished.write_text(json.dumps({TRIAL: winner.user_attrs[TRIAL], "figures": tested}, indent=2))
        return _print_tested(file)


def _print_tested(file: Path) -> dict[str, float]:
    content = json.loads(file.read_text())
    figures = {name: [run[name] for run in content["figures"]] for name in content["figures"][0]}
    for name, values in figures.items():
        if name in ("test/accuracy", "test/loss"):
            print(f"test of {_of(content[TRIAL])}, once for each seed: {name} {_mean(values, name)}")
    return {name: summarise(values).mean for name, values in figures.items()}


def _mean(values: Sequence[float], name: str) -> str:
    mean, n, deviation, _ = summarise(values)
    return f"{shown(mean, name)} +- {shown(deviation, name)} (mean and standard deviation over {n} seeds)"


def _name(trial: FrozenTrial) -> str:
    return _of(trial.user_attrs[TRIAL])


def _of(number: int) -> str:
    return "the starting settings" if number == START else f"trial {number}"
