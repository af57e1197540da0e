"""A search from its start to its end: check, run trials, print a line for each, and write the best settings."""

import shlex
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from project.runs.directories import check_writable
from project.runs.results import Result
from project.search.best import remove_checkpoints, write_best
from project.search.confirmation import Confirmation
from project.search.fits import Fits
from project.search.space import Space, read_space, words_of
from project.search.study import ENDED, ERROR, Study, describe
from project.search.texts import settings_text, shown
from project.search.worker import Worker
from project.system.errors import UserError
from project.system.files import output_errors


@dataclass(frozen=True)
class Search:
    """A worker's part in a search. Its study begins, or goes on, in the directory of the experiment's runs."""

    fits: Fits
    words: Sequence[str]
    """Of the command line, for every fit."""
    directory: Path
    space: Path
    trials: int
    keep: int
    confirm: int = 0
    """Number of seeds with which the best settings are run again; 0 for none."""

    def run(self) -> Result:
        """Run trials until the study has as many as it should have.

        Raises:
            UserError: an option is wrong, the study is of another search, or all trials have failed.
        """
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        space = read_space(self.space)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        words = [*self.words, "--checkpoints.monitor", space.objective, "--checkpoints.mode", space.direction[:3]]
        settings = self._check(space, words)
        check_writable(self.directory.parent, self.directory.name)
        with output_errors(self.directory, "--name"):
            self.directory.mkdir(exist_ok=True)
            describe(self.directory, space, settings)
            study = Study(self.directory, space)
            trials = self._enqueue(study, settings)
        ended = len(study.trials(*ENDED))
        print(f"study {self.directory}: {ended} of {trials} trials have ended; logs/ has their output", flush=True)
        for number in Worker(study, self.fits, words, trials).work():
            self._print_trial(study, number, trials)
            remove_checkpoints(study, self.keep)
            if finished := study.finished():
                write_best(study, finished[0], self._command, self.directory)
        result = self._end(study)
        if self.confirm:
            return Confirmation(study, settings, self.confirm, self.keep).run(self.fits, words, self._command)
        return result

    def _check(self, space: Space, words: Sequence[str]) -> Mapping[str, Any]:
        """The settings of the experiment. Raises UserError for words or values that fit does not take."""
        try:
            settings = self.fits.check([words], space.objective)
        except UserError as error:
            monitor = f"--checkpoints.monitor {space.objective}"
            raise UserError(str(error).replace(monitor, f"--space {space.path}: objective {space.objective}")) from None
        try:
            self.fits.check([[*words, *words_of(example)] for example in space.examples()], space.objective)
        except UserError as error:
            raise UserError(f"--space {space.path}: {error}") from None
        return settings

    def _enqueue(self, study: Study, settings: Mapping[str, Any]) -> int:
        """Let the settings of the experiment itself come first, as far as the space has them; try a small space whole.

        Returns:
            The number of trials. No settings are tried twice in a space that has at most `trials` of them.
        """
        ranges = study.space.ranges.items()
        start = {name: settings.get(name) for name, values in ranges if values.contains(settings.get(name))}
        every = study.space.all_settings(self.trials)
        first = [start] if start and (len(start) == len(ranges) or not every) else []
        with study.lock:
            for params in [*first, *every]:
                study.optuna.enqueue_trial(params, skip_if_exists=True)
        return len(every) or self.trials

    @property
    def _command(self) -> str:
        return f"python scripts/main.py fit {shlex.join(self.words)}".removesuffix(" --pictures false")

    def _print_trial(self, study: Study, number: int, trials: int) -> None:
        trial, best = study.trials()[number], study.finished()[:1]
        ended = len(study.trials(*ENDED))
        parts = [f"{_outcome(trial, study.space.objective)}, {settings_text(study, trial)}"]
        parts += [f"best {shown(found.value, study.space.objective)} in trial {found.number}" for found in best]
        print(f"trial {number}: {'; '.join(parts)}; {max(0, trials - ended)} left", flush=True)

    def _end(self, study: Study) -> Result:
        """Print the best settings. Raises UserError if there are none."""
        finished = study.finished()
        if not finished:
            errors = [trial.user_attrs[ERROR] for trial in study.trials() if ERROR in trial.user_attrs]
            first = f"the first error: {errors[0]}" if errors else "all were pruned; give another pruner"
            raise UserError(f"{self.directory}: no trial has finished; {first}")
        best = finished[0]
        file = write_best(study, best, self._command, self.directory)
        self._print_importances(study)
        print(f"best: trial {best.number}, {_outcome(best, study.space.objective)}, {settings_text(study, best)}")
        print(f"run it: {self._command} --config {file}")
        return Result(self.directory, {study.space.objective: best.value, "trial": best.number, **best.params})

    def _print_importances(self, study: Study) -> None:
        from project.search.pictures import draw_pictures, importances  # matplotlib takes time

        if shares := importances(study):
            parts = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares.items())
            print(f"how much each option matters: {parts}")
        for picture in draw_pictures(study):
            print(f"picture: {picture}")


def _outcome(trial: FrozenTrial, objective: str) -> str:
    if trial.state == TrialState.FAIL:
        return f"failed ({trial.user_attrs.get(ERROR, '')})"
    pruned = " when it was pruned" * (trial.state == TrialState.PRUNED)
    return f"{objective} {shown(trial.value, objective)}{pruned}"
