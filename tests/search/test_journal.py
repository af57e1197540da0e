"""The journal survives killed writers and torn lines."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from project.search.journal import Journal
from project.system.errors import UserError

HOLDER = """
import time
from pathlib import Path
from project.search.journal import Journal

Journal(Path("folder/journal.log")).kernel_lock.acquire()
print("locked", flush=True)
time.sleep(60)
"""


@pytest.fixture
def journal() -> Path:
    Path("folder").mkdir()
    return Path("folder/journal.log")  # a relative path with a folder, on which Optuna's own lock can wait for ever


def study(journal: Path) -> optuna.Study:
    storage = optuna.storages.JournalStorage(Journal(journal))
    return optuna.create_study(storage=storage, study_name="search", load_if_exists=True)


def test_a_killed_holder_leaves_no_lock(journal: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        holder.send_signal(signal.SIGKILL)
    study(journal).ask()
    assert len(study(journal).trials) == 1


def test_a_torn_line_is_cut_off(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = study(journal)
    first.tell(first.ask(), 1.0)
    with journal.open("a") as file:
        file.write('{"op_code":4,"worker')
    first.tell(first.ask(), 2.0)  # also a worker that was there before
    cut = f"{journal}: its last line was torn by a crash or a full disk; 20 bytes were cut off\n"
    assert capsys.readouterr().out == cut
    assert [trial.value for trial in study(journal).trials] == [1.0, 2.0]


def test_damaged_lines_are_taken_out(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = study(journal)
    first.tell(first.ask(), 1.0)
    with journal.open("a") as file:
        file.write('{"op_code":4,"wor{"op_code":4}\n')
    assert [trial.value for trial in study(journal).trials] == [1.0]
    assert capsys.readouterr().out == f"{journal}: 1 damaged lines were taken out\n"


def test_a_full_disk(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = study(journal)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size + 9, limits[1]))
    try:
        with pytest.raises(
            UserError, match=r"the study's journal cannot be written \(File too large\); mend that, then"
        ):
            first.ask()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    first.ask()
    assert "its last line was torn by a crash or a full disk; 9 bytes were cut off" in capsys.readouterr().out
    assert len(study(journal).trials) == 1
