"""A whole search: a worker that is stopped, a trial that fails, and the best settings as an overlay."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from project.benchmarks.comparison import differences
from project.cli.checked_fit import CheckedFit
from project.cli.main import main
from project.search.worker import Worker
from project.system.errors import UserError

STUDY = Path("lightning_logs/mlp-search")
# The first trial has the default, which is not the first of the choices.
SPACE = "model.network.fails_at: {choice: [5, 1000]}\n"
NETWORK = """import errno
from pathlib import Path

from project.networks import MLP

class Failing(MLP):
    def __init__(self, num_classes: int, fails_at: int = 1000):
        super().__init__(num_classes, hidden=[16])
        self.calls, self.fails_at = 0, fails_at

    def forward(self, images):
        if self.calls > 3 and Path("full").exists():
            raise OSError(errno.ENOSPC, "No space left on device", "last.ckpt")
        self.calls += 1
        if self.calls == self.fails_at:
            raise RuntimeError("no more")
        return super().forward(images)
"""


def test_stopped_and_failed_trials(
    digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("space.yaml").write_text(SPACE)
    Path("mine").mkdir()
    Path("mine/own.py").write_text(NETWORK)
    Path("mine/own.yaml").write_text("model: {network: {class_path: own.Failing}}")
    words = [*digits("mlp", 2), "--data.batch_size", "32", "--config", "mine/own.yaml"]
    search = ["search", *words, "--space", "space.yaml", "--keep", "1"]
    with monkeypatch.context() as patched:
        patched.setenv("SLURM_JOB_ID", "17")
        patched.setattr("project.cli.endings.requeue", lambda: print("back in the queue"))
        patched.setattr(Worker, "_report", lambda *_: os.kill(os.getpid(), signal.SIGUSR1))
        with pytest.raises(SystemExit) as stopped:
            main(search)
    assert stopped.value.code == 128 + signal.SIGUSR1
    assert capsys.readouterr().out.endswith("the same command goes on with it\nback in the queue\n")
    assert (STUDY / "version_0/checkpoints/last.ckpt").exists()
    assert not (STUDY / "version_0/results.json").exists()

    Path("full").touch()
    with pytest.raises(SystemExit):
        main(search)
    out, err = capsys.readouterr()
    assert err == "error: last.ckpt: No space left on device; mend that, then resume\n"
    assert f"trial 0 goes on in {STUDY / 'version_0'}, which a worker has left\ntrial 0 is not finished;" in out
    Path("full").unlink()

    result = main(search)
    printed = capsys.readouterr().out
    assert "trial 0: val/accuracy 9" in printed
    assert "failed (--model.network own.Failing: no more (own.py, line 16))" in printed
    assert "0 left" in printed
    assert result.figures["model.network.fails_at"] == 1000
    assert result.directory == STUDY
    assert (STUDY / "version_0/config-2.yaml").exists()  # it went on
    assert [path.parents[1].name for path in STUDY.glob("*/checkpoints/best.ckpt")] == ["version_0"]

    main(["fit", *words, "--config", str(STUDY / "best.yaml"), "--trainer.limit_test_batches", "0"])
    assert differences(Path("lightning_logs/mlp/version_0"), STUDY / "version_0") == []


def test_an_unknown_option_and_an_objective_that_nothing_measures(
    digits: Callable[..., list[str]], error: Callable[..., str]
) -> None:
    words = ["search", *digits(), "--space", "space.yaml"]
    Path("space.yaml").write_text("model.optimizer.learning_rate: {log: [0.001, 0.1]}")
    line = "--space space.yaml: --model.optimizer.learning_rate: AdamW has no such option"
    assert error(*words).startswith(line)
    Path("space.yaml").write_text("model.optimizer.lr: {log: [0.001, 0.1]}\nobjective: val/acuracy")
    assert "no validation measures it; give val/accuracy" in error(*words)
    assert not Path("lightning_logs/mlp-search").exists()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="this system does not list processes there")
def test_ctrl_c_of_the_terminal_does_not_reach_the_fork_server() -> None:
    program = (
        "import os, pathlib, signal\n"
        "from project.cli.fit_process import FitProcesses\n"
        "FitProcesses()\n"
        "for child in pathlib.Path(f'/proc/self/task/{os.getpid()}/children').read_text().split():\n"
        "    print(pathlib.Path(f'/proc/{child}/status').read_text())\n"
        "    os.kill(int(child), signal.SIGKILL)\n"
    )
    status = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    ignored = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigIgn:")]
    assert ignored
    assert all(mask >> (signal.SIGINT - 1) & 1 for mask in ignored)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["check_val_every_n_epoch", "2"], "give --trainer.check_val_every_n_epoch of at most 1"),
        (["max_steps", "50", "--data.batch_size", "20"], "before its first validation; give --trainer.max_steps of at"),
        (["max_steps", "7", "--trainer.accumulate_grad_batches", "5"], "give --trainer.max_steps of at least 8"),
        (["max_steps", "3", "--trainer.limit_train_batches", "4"], "give --trainer.max_steps of at least 4"),
        (["max_steps", "8", "--trainer.val_check_interval", "9"], "give --trainer.max_steps of at least 9"),
        (["fast_dev_run", "1"], "--trainer.fast_dev_run true: a search needs checkpoints; leave it out"),
    ],
)
def test_runs_without_a_validation_or_a_checkpoint(
    digits: Callable[..., list[str]], words: list[str], line: str
) -> None:
    command = ["fit", *digits(), "--data.batch_size", "32", f"--trainer.{words[0]}", *words[1:]]
    with ExitStack() as cleanup, pytest.raises(UserError, match=line):
        CheckedFit(command, cleanup, "val/accuracy")
