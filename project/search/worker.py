"""A worker: it takes a trial of a study, trains its runs, and tells the study how they end, until none is left."""

import math
import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

from optuna.trial import TrialState

from project.runs.results import read_results
from project.search.fits import Fit, Fits
from project.search.space import words_of
from project.search.study import THREADS, VALUES, Claim, Study, count_workers, worker_lock
from project.system.errors import UserError
from project.system.signals import Interrupted
from project.system.threads import cores_of_each, usable_cores

POLL_SECONDS = 1.0  # between two looks at the trials of other workers
IN_TRIALS = {"trainer.limit_test_batches": 0}  # nothing in a search looks at the test images


class Failed(Exception):
    """A trial has failed. The text is the error line of its run."""


def _is_pruned(claim: Claim) -> bool:
    """What the pruner says; not of the first trial, whose settings are the experiment's own."""
    prunes = claim.trial.should_prune()  # Optuna notes here what the trials to come are compared with
    return prunes and claim.number > 0


class Worker:
    """Runs trials of a study, each run in a process of its own."""

    def __init__(self, study: Study, fits: Fits, words: Sequence[str], limit: int, host: str = "") -> None:
        """Take no trial yet.

        Args:
            study: Whose trials are run.
            fits: Runs a fit.
            words: Of the command line, for every fit.
            limit: The number of trials of the whole study.
            host: The name of this machine.
        """
        self.study, self.fits, self.words, self.limit = study, fits, words, limit
        self.host = host or socket.gethostname()

    def work(self) -> Iterator[int]:
        """Run trials until all are finished, also those that other workers leave. Yields the number of each."""
        waiting = False
        with self._present():
            while True:
                if claim := self.study.claim(self.limit):
                    self.run(claim)
                    waiting = False
                    yield claim.number
                elif not (running := len(self.study.trials(TrialState.RUNNING))):
                    return
                else:
                    if not waiting:
                        trials = "1 trial runs" if running == 1 else f"{running} trials run"
                        print(f"{trials} in other workers; waiting for them", flush=True)
                    waiting = True
                    time.sleep(POLL_SECONDS)

    def run(self, claim: Claim) -> None:
        """Run or go on with a trial. If this process is asked to stop, the trial is free for the next worker."""
        if begun := [run for run in self.study.runs_of(claim.number) if run.exists()]:
            print(f"trial {claim.number} goes on in {begun[-1]}, which a worker has left", flush=True)
        try:
            if self.study.reported(claim.number) and _is_pruned(claim):  # told before a worker was killed
                self.study.end(claim, TrialState.PRUNED)
                return
            values = self._values(claim)
        except (KeyboardInterrupt, Interrupted, UserError):
            print(f"trial {claim.number} is not finished; the same command goes on with it", flush=True)
            raise
        except Failed as failure:
            self.study.end(claim, TrialState.FAIL, error=str(failure))
        else:
            if values is None:
                self.study.end(claim, TrialState.PRUNED)
            else:
                claim.trial.set_user_attr(VALUES, values)
                self.study.end(claim, TrialState.COMPLETE, fmean(values))
        finally:
            claim.lock.release()

    def _values(self, claim: Claim) -> list[float] | None:
        """The objective of each run; None for a trial that was pruned. Raises Failed."""
        runs, repeats = self.study.runs_of(claim.number), self.study.space.repeats
        values: list[float] = []
        for count, (run, repeated) in enumerate(zip(runs, repeats, strict=True), 1):
            value = self._value(claim, run, {**claim.settings, **repeated}, alone=len(runs) == 1)
            if value is None:
                return None
            values.append(value)
            if len(runs) > 1 and self._report(claim, count, value) and count < len(runs):
                return None
        return values

    def _value(self, claim: Claim, run: Path, settings: Mapping[str, Any], alone: bool) -> float | None:
        """The objective of a run, which is trained unless it has finished; None if it was pruned. Raises Failed."""
        pruned = False

        def report(percent: int, value: float) -> bool:
            nonlocal pruned
            pruned = alone and self._report(claim, percent, value) and percent < 100
            return pruned

        if read_results(run) is None and (error := self.fits.run(self._fit(claim, run, settings), report)):
            raise Failed(error)
        results = read_results(run)
        if results is None and pruned:
            return None
        value = (results or {}).get(self.study.space.objective)
        if value is None:
            raise Failed(f"{run} ended before it measured {self.study.space.objective}; give it a validation")
        if not math.isfinite(value):
            raise Failed(f"{self.study.space.objective} is {value} in {run}")
        return float(value)

    def _report(self, claim: Claim, step: int, value: float) -> bool:
        """Whether the pruner ends the trial after this value."""
        if step not in self.study.reported(claim.number):
            claim.trial.report(value, step)
        return _is_pruned(claim)

    def _fit(self, claim: Claim, run: Path, settings: Mapping[str, Any]) -> Fit:
        """The fit of a run: it goes on if it has begun, with the number of threads that it had."""
        threads = claim.trial.user_attrs.get(THREADS) or self._threads()
        claim.trial.set_user_attr(THREADS, threads)
        objective = self.study.space.objective
        logs = self.study.runs / "logs"
        logs.mkdir(exist_ok=True)
        words = [*self.words, "--name", run.parent.name, *words_of({**settings, **IN_TRIALS})]
        return Fit(words, run, objective, threads, logs / f"{run.name}.log")

    def _threads(self) -> int:
        """This worker's part of the cores, or what OMP_NUM_THREADS says."""
        if given := os.environ.get("OMP_NUM_THREADS", ""):
            return int(given) if given.isdecimal() and int(given) else 1
        return cores_of_each(max(1, count_workers(self.study.directory, self.host)))

    @contextmanager
    def _present(self) -> Iterator[None]:
        lock = worker_lock(self.study.directory, self.host, os.getpid())
        workers = count_workers(self.study.directory, self.host)
        if workers > 1 and "SLURM_CPUS_PER_TASK" not in os.environ:
            threads, cores = self._threads(), usable_cores()
            too_many = threads * workers > cores
            advice = "; they slow each other down: end some, or lower OMP_NUM_THREADS" if too_many else ""
            print(
                f"{workers} workers of this study share {cores} cores of this machine: new trials compute "
                f"with {threads} thread{'s' * (threads > 1)}{advice}",
                flush=True,
            )
        try:
            yield
        finally:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
