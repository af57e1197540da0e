"""A search whose workers are killed at random moments and started again: is a trial lost, doubled, or begun again?"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

import optuna
from filelock import FileLock
from optuna.trial import FrozenTrial

from project.benchmarks.comparison import differences
from project.benchmarks.fitting import CONFIGS, MAIN
from project.benchmarks.processes import run_main
from project.benchmarks.report import OUTPUT, report
from project.search.journal import Journal
from project.search.study import JOURNAL

DIRECTORY = OUTPUT / "search"
STUDY = Path("lightning_logs/mlp-search")
# Without a pruner, each trial trains to its end, like a run that is left alone.
SPACE = "model.optimizer.lr: {log: [0.0001, 0.1]}\ndata.shift: {int: [0, 4]}\npruner: NopPruner\n"
LONGEST = 30.0  # seconds from the moment at which a worker joins the study to its death


def measure(trials: int, workers: int = 2, torn: bool = False, seed: int = 0) -> None:
    """Search with workers that are killed; compare each trial that went on with a run that is left alone.

    Args:
        trials: Number of trials.
        workers: Number of workers.
        torn: Leave a torn line in the journal at half of the kills.
        seed: Of the moments.
    """
    shutil.rmtree(DIRECTORY, ignore_errors=True)
    DIRECTORY.mkdir(parents=True)
    (DIRECTORY / "space.yaml").write_text(SPACE)
    kills, tears = _search(trials, workers, torn, Random(seed))
    storage = optuna.storages.JournalStorage(Journal(DIRECTORY / STUDY / JOURNAL))
    rows = _rows(optuna.load_study(study_name="search", storage=storage).get_trials(), trials)
    resumed = sorted(run.parent for run in (DIRECTORY / STUDY).glob("version_*/config-2.yaml"))
    lines = [f"{run.name}: {line}" for run in resumed for line in _differences(run)]
    row = {"trials": trials, "kills": kills, "torn lines": tears, **rows, "went on": len(resumed)}
    report("search-torn" if torn else "search", [{**row, "differences of bits": len(lines)}], differences=lines)


def _search(trials: int, workers: int, torn: bool, rng: Random) -> tuple[int, int]:
    """Search to the end. Return the number of kills and of torn lines."""
    kills = tears = 0
    running = [StartedWorker(trials, number, rng) for number in range(workers)]
    while running:
        time.sleep(0.05)
        for worker in running:
            if worker.is_due():
                _kill(worker.process.pid, with_fit=rng.random() < 0.5)
                kills += 1
                tears += _tear(DIRECTORY / STUDY / JOURNAL) if torn and rng.random() < 0.5 else 0
                ended = len(list((DIRECTORY / STUDY).glob("version_*/results.json")))
                print(f"{ended} of {trials} trials have ended after {kills} kills", flush=True)
        running = [worker for worker in running if not worker.has_finished()]
    return kills, tears


class StartedWorker:
    """A worker that is started again whenever it was killed."""

    def __init__(self, trials: int, number: int, rng: Random) -> None:
        self.trials, self.rng = trials, rng
        self.end: float | None = None  # when it is to be killed
        self.log = DIRECTORY / f"worker-{number}.log"
        self._start()

    def is_due(self) -> bool:
        """Whether it is to be killed now: at a random moment after it has joined the study, or rarely before."""
        if self.end is None and "study " in self.log.read_text():
            self.end = time.monotonic() + LONGEST * self.rng.random()
        return self.process.poll() is None and self.end is not None and time.monotonic() > self.end

    def has_finished(self) -> bool:
        """Whether it has ended by itself. One that was killed is started again."""
        code = self.process.poll()
        assert code in (None, 0, -signal.SIGKILL), f"a worker ended with exit code {code}; see {self.log}"
        if code == -signal.SIGKILL:
            self._start()
        return code == 0

    def _start(self) -> None:
        early = self.rng.random() < 0.1
        self.end = time.monotonic() + LONGEST * self.rng.random() if early else None
        files = [str((CONFIGS / f"{name}.yaml").absolute()) for name in ("mlp", "data/digits")]
        words = ["search", "--config", files[0], "--config", files[1], "--space", "space.yaml"]
        words += ["--trials", str(self.trials), "--keep", str(self.trials)]
        words += ["--trainer.max_epochs", "4", "--trainer.accelerator", "cpu", "--checkpoints.every_n_steps", "10"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(MAIN.absolute()), *words],
                cwd=DIRECTORY,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )


def _kill(worker: int, with_fit: bool) -> None:
    """Kill a worker; perhaps also its fit at the same moment, as when a machine stops."""
    for process in [worker, *(_descendants(worker) if with_fit else ())]:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def _descendants(process: int) -> list[int]:
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found = [process]
    for parent in found:
        found += [child for child, own_parent in parents.items() if own_parent == parent]
    return found[1:]


def _tear(journal: Path) -> int:
    """Leave what a worker leaves that is killed while it writes."""
    if not journal.exists():
        return 0
    with FileLock(journal.with_name(f".{journal.name}.lock")), journal.open("a") as file:
        file.write('{"op_code":6,"worker_id":"')
    return 1


def _rows(trials: Sequence[FrozenTrial], wanted: int) -> dict[str, int]:
    """How many trials are lost, doubled, or were begun again although they had begun."""
    finished = [trial for trial in trials if trial.state.name == "COMPLETE"]
    settings = {str(trial.params) for trial in finished}
    logs = [log.read_text() for log in (DIRECTORY / STUDY / "logs").glob("*.log")]
    runs = len(list((DIRECTORY / STUDY).glob("version_*")))
    return {
        "lost": wanted - len(finished),
        "doubled": len(finished) - len(settings) + max(0, runs - wanted),
        "begun again": sum(log.count(f"run {STUDY}") > 1 for log in logs),
    }


def _differences(run: Path) -> list[str]:
    """What differs between a trial that went on and a run of the same settings that is left alone."""
    alone = DIRECTORY / "alone" / run.name
    config = run.absolute() / "config.yaml"
    code = run_main(["fit", "--config", str(config), "--name", "alone"], alone)
    if code:
        return [f"the run that is left alone ended with exit code {code}"]
    found = differences(alone / "lightning_logs/alone/version_0", run)
    shutil.rmtree(alone)
    return found
