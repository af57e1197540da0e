"""Trials belong to one worker at a time, and none is lost."""

from pathlib import Path

import pytest
from filelock import FileLock
from optuna.trial import TrialState

from project.runs.directories import LOCK
from project.search.space import Space, read_space
from project.search.study import Study, count_workers, describe, worker_lock
from project.system.errors import UserError

DIRECTORY = Path("lightning_logs/net-search")


def space(text: str = "model.optimizer.lr: {log: [0.001, 0.1]}") -> Space:
    Path("space.yaml").write_text(text)
    return read_space(Path("space.yaml"))


@pytest.fixture
def study() -> Study:
    DIRECTORY.mkdir(parents=True)
    return Study(DIRECTORY, space())


def test_a_trial_that_nobody_runs_goes_to_the_next_worker(study: Study) -> None:
    first = study.claim(2)
    assert first is not None
    other = Study(DIRECTORY, space())
    second = other.claim(2)
    assert second is not None
    assert (first.number, second.number) == (0, 1)
    assert other.claim(2) is None
    first.lock.release()  # as the system does when a worker is killed
    again = other.claim(2)
    assert again is not None
    assert (again.number, again.settings) == (0, first.settings)
    other.end(again, TrialState.COMPLETE, 0.5)
    other.end(second, TrialState.FAIL, error="a line")
    assert study.claim(2) is None
    assert [trial.state.name for trial in study.trials()] == ["COMPLETE", "FAIL"]
    assert study.trials()[1].user_attrs["error"] == "a line"


def test_a_trial_whose_run_still_saves_is_not_free(study: Study) -> None:
    claim = study.claim(1)
    assert claim is not None
    claim.lock.release()
    (run,) = study.runs_of(0)
    run.mkdir()
    with FileLock(run / LOCK):
        assert study.claim(1) is None
    assert study.claim(1) is not None


def test_settings_depend_on_the_trial_alone() -> None:
    values = []
    for name in ("one", "two"):
        directory = Path(name)
        directory.mkdir()
        claims = [Study(directory, space()).claim(2) for _ in range(2)]
        values.append([claim.settings for claim in claims if claim])
    assert values[0] == values[1]
    assert values[0][0] != values[0][1]


def test_another_search_in_the_directory() -> None:
    DIRECTORY.mkdir(parents=True)
    settings = {"data.batch_size": 125, "trainer.max_epochs": 10, "data.data_dir": "a"}
    describe(DIRECTORY, space(), settings)
    describe(DIRECTORY, space(), {**settings, "data.data_dir": "b"})
    with pytest.raises(UserError, match=r"the study there has data.batch_size 125, not 250; give --name with another"):
        describe(DIRECTORY, space(), {**settings, "data.batch_size": 250})
    other = space("model.optimizer.lr: {log: [0.001, 1]}")
    with pytest.raises(UserError, match=r"has model.optimizer.lr \{log: \[0.001, 0.1\]\}, not \{log: \[0.001, 1.0"):
        describe(DIRECTORY, other, settings)


def test_a_directory_with_other_runs() -> None:
    (DIRECTORY / "version_0").mkdir(parents=True)
    with pytest.raises(UserError, match="version_0 is there, which is of no study; give --name"):
        describe(DIRECTORY, space(), {})


def test_workers_of_a_machine_are_counted(study: Study) -> None:
    locks = [worker_lock(DIRECTORY, "here", pid) for pid in (1, 2)]
    worker_lock(DIRECTORY, "elsewhere", 3)
    assert count_workers(DIRECTORY, "here") == 2
    locks[0].release()
    assert count_workers(DIRECTORY, "here") == 1
