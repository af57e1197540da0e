"""A study: a directory that workers on any machine share, and trials, each of which has one worker at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState

from project.runs.directories import all_runs, is_training
from project.runs.settings import exact
from project.search.journal import Journal
from project.search.space import Space, Value, word_of
from project.system.errors import UserError
from project.system.files import atomic_write

JOURNAL = "journal.log"  # optuna-dashboard takes a file of this ending
DESCRIPTION = "study.yaml"
CLAIMS = ".claims"  # locks of trials and workers
SEARCH = "search"
THREADS, ERROR, SETTINGS, VALUES = "threads", "error", "settings", "values"  # attributes of a trial
PARTS = {"objective", "direction", "space", "settings"}  # of the description
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
# Options that may differ between the workers of a study.
FREE = ("ckpt_path", "config", "name", "pictures", "threads", "data.data_dir", "trainer.default_root_dir")


@dataclass(frozen=True)
class Claim:
    """A trial that this worker runs, while it has its lock."""

    trial: optuna.Trial
    settings: Mapping[str, Any]
    lock: FileLock

    @property
    def number(self) -> int:
        return self.trial.number


class Study:
    """Trials in a journal. A trial that nobody runs any more is given to the next worker, so none is lost."""

    def __init__(self, directory: Path, space: Space, name: str = SEARCH, runs: Path | None = None) -> None:
        """Join the study, which begins here if there is none.

        Args:
            directory: Of the study.
            space: Of the search.
            name: Of the study in the journal.
            runs: The directory of the runs; None for that of the study.
        """
        self.directory, self.space, self.name, self.runs = directory, space, name, runs or directory
        self.claims = self.runs / CLAIMS
        self.claims.mkdir(parents=True, exist_ok=True)
        journal = Journal(directory / JOURNAL)
        self.lock = journal.kernel_lock.lock
        self.storage = optuna.storages.JournalStorage(journal)
        with self.lock:
            self.optuna = optuna.create_study(
                storage=self.storage,
                study_name=name,
                direction=space.direction,
                pruner=space.make_pruner() if name == SEARCH else optuna.pruners.NopPruner(),
                load_if_exists=True,
            )

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self.optuna.get_trials(deepcopy=False, states=states or None)

    def finished(self) -> list[FrozenTrial]:
        """The trials that have a value, the best first."""
        sign = -1 if self.space.direction == "maximize" else 1
        return sorted(self.trials(TrialState.COMPLETE), key=lambda trial: sign * float(trial.value or 0))

    def settings_of(self, trial: FrozenTrial) -> dict[str, Value]:
        return {**trial.params, **trial.user_attrs.get(SETTINGS, {})}

    def runs_of(self, number: int) -> list[Path]:
        """The run directories of a trial, one for each value of the repeated option."""
        count = len(self.space.repeats)
        return [self.runs / f"version_{number * count + n}" for n in range(count)]

    def claim(self, limit: int) -> Claim | None:
        """A trial that nobody runs, or a new one; None if all `limit` trials are finished or run by others."""
        with self.lock:
            for trial in self.trials(TrialState.RUNNING):
                if lock := self._free(trial.number):
                    return self._claim(self._trial(trial.number), lock)
            total = len(self.trials())
            if total >= limit and not self.trials(TrialState.WAITING):
                return None
            self.optuna.sampler = self.space.make_sampler(total)
            trial_to_begin = self.optuna.ask()
            lock = self._free(trial_to_begin.number)
            assert lock is not None
            return self._claim(trial_to_begin, lock)

    def end(self, claim: Claim, state: TrialState, value: float | None = None, error: str = "") -> None:
        """Write how the trial has ended, and give its lock back."""
        with self.lock:
            if error:
                claim.trial.set_user_attr(ERROR, error)
            self.optuna.sampler = optuna.samplers.RandomSampler()  # others end a loop of Optuna's, which is not here
            self.optuna.tell(claim.number, value, state=state)
            claim.lock.release()
            Path(claim.lock.lock_file).unlink(missing_ok=True)

    def reported(self, number: int) -> Mapping[int, float]:
        """What the pruner knows of a trial, by steps."""
        return self.trials()[number].intermediate_values

    def _claim(self, trial: optuna.Trial, lock: FileLock) -> Claim:
        ranges = {} if self.name != SEARCH else self.space.ranges
        params = {name: values.suggest(trial, name) for name, values in ranges.items()}
        return Claim(trial, {**params, **trial.user_attrs.get(SETTINGS, {})}, lock)

    def _trial(self, number: int) -> optuna.Trial:
        study_id = self.storage.get_study_id_from_name(self.name)
        return optuna.Trial(self.optuna, self.storage.get_trial_id_from_study_id_trial_number(study_id, number))

    def _free(self, number: int) -> FileLock | None:
        """The lock of a trial; None if another worker has it, or if a process still trains one of its runs."""
        lock = _acquired(self.claims / f"trial-{number}")
        if lock and any(map(is_training, self.runs_of(number))):
            lock.release()
            return None
        return lock


def describe(directory: Path, space: Space, settings: Mapping[str, Any]) -> None:
    """Write what a new study searches, or see that the study in the directory searches the same.

    Args:
        directory: Of the study.
        space: Of the search.
        settings: Of the experiment, as project.runs.settings.flatten gives them.

    Raises:
        UserError: the study is of another experiment or space, or the directory has runs but no study.
    """
    description = _description(space, settings)
    file = directory / DESCRIPTION
    remedy = "give --name with another name to start a new study"
    with FileLock(directory / f".{JOURNAL}.lock"):
        if file.exists():
            if not (before := _read_description(file)):
                raise UserError(f"{file}: it is damaged; {remedy}")
            if changes := list(_changes(before, description)):
                raise UserError(f"{directory}: the study there has {'; '.join(changes)}; {remedy}")
            return
        if (runs := all_runs(directory.parent, directory.name)) and not (directory / JOURNAL).exists():
            raise UserError(f"{directory}: {runs[-1].name} is there, which is of no study; {remedy}")
        with atomic_write(file) as unfinished:
            unfinished.write_text(yaml.safe_dump(description, sort_keys=False), "utf-8")


def worker_lock(directory: Path, host: str, pid: int) -> FileLock:
    """The sign that a worker of this machine is there."""
    (directory / CLAIMS).mkdir(parents=True, exist_ok=True)
    lock = _acquired(directory / CLAIMS / f"worker-{host}-{pid}")
    assert lock is not None
    return lock


def count_workers(directory: Path, host: str) -> int:
    """The number of the study's workers on this machine."""
    locks = [_acquired(file) for file in (directory / CLAIMS).glob(f"worker-{host}-*")]
    for lock in filter(None, locks):
        lock.release()
    return locks.count(None)


def _acquired(path: Path) -> FileLock | None:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def _description(space: Space, settings: Mapping[str, Any]) -> dict[str, Any]:
    ranges = {name: {values.kind: list(values.values)} for name, values in space.ranges.items()}
    if space.repeated:
        ranges[space.repeated[0]] = {"all": list(space.repeated[1])}
    fixed = {name: value for name, value in settings.items() if name not in (*ranges, *FREE)}
    return {
        "objective": space.objective,
        "direction": space.direction,
        "space": ranges,
        "settings": {name: str(value) if isinstance(value, str) else value for name, value in sorted(fixed.items())},
    }


def _read_description(file: Path) -> dict[str, Any]:
    """What an earlier worker wrote; empty if it is damaged."""
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return {}
    return content if isinstance(content, dict) and content.keys() == PARTS else {}


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What differs, as `name old, not new`."""
    for part in ("objective", "direction"):
        if before[part] != now[part]:
            yield f"{part} {before[part]}, not {now[part]}"
    for part in ("space", "settings"):
        old, new = before[part], now[part]
        for name in sorted(old.keys() | new.keys()):
            if exact(str(old.get(name, "nothing"))) != exact(str(new.get(name, "nothing"))):
                yield f"{name} {word_of(old.get(name, 'nothing'))}, not {word_of(new.get(name, 'nothing'))}"
