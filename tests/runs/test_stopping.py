"""How a run ends before its time by a signal."""

import os
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn

from project.benchmarks.comparison import differences
from project.benchmarks.processes import FORKSERVER
from project.callbacks.epoch_lines import EpochLines
from project.checkpoints.files import read
from project.cli.main import main
from project.data import ImageDataModule
from project.system.signals import Signals, job
from project.training.classifier import Classifier
from tests.conftest import STEPS

WHOLE, STOPPED = Path("lightning_logs/mlp/version_0"), Path("lightning_logs/mlp/version_1")


def exit_code(words: list[str]) -> int:
    """Of a command that is stopped. At Ctrl-C, a call raises KeyboardInterrupt in place of exit code 130."""
    with pytest.raises((SystemExit, KeyboardInterrupt)) as stopped:
        main(words)
    return 130 if isinstance(stopped.value, KeyboardInterrupt) else int(stopped.value.code or 0)


@pytest.fixture
def signal_at(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The exit code of a fit that gets a signal in the middle of a step."""

    def run(step: int, signum: int, words: list[str]) -> int:
        original = Classifier.training_step

        def training_step(self: Classifier, batch: object, batch_idx: int) -> torch.Tensor:
            if self.global_step == step:
                os.kill(os.getpid(), signum)
            return original(self, batch, batch_idx)

        with monkeypatch.context() as patched:
            patched.setattr(Classifier, "training_step", training_step)
            return exit_code(["fit", *words])

    return run


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal(
    digits: Callable[..., list[str]],
    finished_run: Callable[..., None],
    signal_at: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    signum: signal.Signals,
    code: int,
) -> None:
    handlers = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]
    finished_run(2)
    assert signal_at(STEPS + 5, signum, digits(epochs=2)) == code
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert read(STOPPED / "checkpoints/last.ckpt")["global_step"] == STEPS + 6
    *_, said, command = capsys.readouterr().out.splitlines()
    assert said == f"stopped by {signum.name} after {STEPS + 6} steps; resume with:"
    assert command.startswith("python scripts/main.py fit --config")
    main(shlex.split(command)[2:])
    assert differences(WHOLE, STOPPED) == []


def test_reader_of_the_output_is_gone(digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with open(writing, "w") as output, monkeypatch.context() as patched:
        patched.setattr("sys.stdout", output)
        patched.setattr(EpochLines, "on_train_start", lambda *args: os.close(reading))
        with pytest.raises(SystemExit) as stopped:
            main(["fit", *digits()])
    assert stopped.value.code == 128 + signal.SIGPIPE
    main(["fit", *digits(), "--ckpt_path", "last"])
    assert (WHOLE / "results.json").exists()


def test_signal_in_the_last_step_of_an_epoch(
    digits: Callable[..., list[str]], signal_at: Callable[..., int], finished_run: Callable[..., None]
) -> None:
    finished_run(2)
    assert signal_at(STEPS - 1, signal.SIGTERM, digits(epochs=2)) == 143
    main(["fit", *digits(epochs=2), "--ckpt_path", "last"])
    assert differences(WHOLE, STOPPED) == []


@pytest.mark.parametrize(
    ("signum", "code", "step"), [(signal.SIGTERM, 143, "test"), (signal.SIGINT, 130, "validation")]
)
def test_signal_after_the_training(
    digits: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    signum: signal.Signals,
    code: int,
    step: str,
    finished_run: Callable[..., None],
) -> None:
    """In the test, or in the validation that fits the temperature."""
    finished_run(2)
    original = getattr(Classifier, f"{step}_step")

    def evaluate(self: Classifier, *args: Any) -> torch.Tensor:
        if self.trainer.state.fn != TrainerFn.FITTING:
            os.kill(os.getpid(), signum)
        return original(self, *args)

    with monkeypatch.context() as patched:
        patched.setattr(Classifier, f"{step}_step", evaluate)
        assert exit_code(["fit", *digits(epochs=2)]) == code
    main(shlex.split(capsys.readouterr().out.splitlines()[-1])[2:])
    assert differences(WHOLE, STOPPED) == []


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_in_a_command_without_a_run(
    digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, signum: signal.Signals, code: int
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is started without it
    main(["fit", *digits()])
    monkeypatch.setattr(ImageDataModule, "evaluation_batch_size", 32)  # Lightning stops between two batches
    monkeypatch.setattr(Classifier, "test_step", lambda *args: os.kill(os.getpid(), signum))
    assert exit_code(["test", *digits(), "--ckpt_path", "best"]) == code


def test_the_requeue_signal_before_a_run_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setattr("project.cli.endings.requeue", lambda: print("back in the queue"))
    monkeypatch.setattr("project.cli.main.program_help", lambda: os.kill(os.getpid(), signal.SIGUSR1))
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit) as stopped:
            main(["--help"], own_process=True)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert stopped.value.code == 128 + signal.SIGUSR1
    assert capsys.readouterr().out == "back in the queue\n"


def test_slurm_starts_the_job_again(
    digits: Callable[..., list[str]],
    signal_at: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    finished_run: Callable[..., None],
) -> None:
    finished_run(2)
    scontrol = tmp_path / "bin/scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text('#!/bin/sh\necho "$@" > requeued\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{scontrol.parent}:{os.environ['PATH']}")
    for name, value in {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "train", "SLURM_JOB_ID": "17"}.items():
        monkeypatch.setenv(name, value)
    assert signal_at(STEPS + 5, signal.SIGUSR1, digits(epochs=2)) == 128 + signal.SIGUSR1
    assert Path("requeued").read_text() == "requeue 17\n"
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    main(["fit", *digits(epochs=2)])  # the job's own command goes on with its run
    assert differences(WHOLE, STOPPED) == []
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    main(["fit", *digits(epochs=1)])  # another job's does not
    assert (STOPPED.parent / "version_2/results.json").exists()
    assert not list(Path().rglob("hpc_ckpt*"))


def test_each_task_of_a_slurm_array_is_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_JOB_ID": "21", "SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "3"}.items():
        monkeypatch.setenv(name, value)
    assert job() == "17_3"


def _interrupted(words: list[str]) -> None:
    def training_step(self: Classifier, batch: object, batch_idx: int) -> torch.Tensor:
        os.kill(os.getpid(), signal.SIGINT)
        return original(self, batch, batch_idx)

    original = Classifier.training_step
    Classifier.training_step = training_step  # type: ignore[method-assign]
    main(["fit", *words], own_process=True)


def test_ctrl_c_is_an_exit_code_for_the_shell(digits: Callable[..., list[str]]) -> None:
    process = FORKSERVER.Process(target=_interrupted, args=(digits(),))
    process.start()
    process.join()
    assert process.exitcode == 130


def _interrupted_twice(words: list[str]) -> None:
    def training_step(self: Classifier, batch: object, batch_idx: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        os._exit(0)

    Classifier.training_step = training_step  # type: ignore[assignment, method-assign]
    main(["fit", *words])


def test_the_first_signal_counts() -> None:
    handlers = {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)}
    signals = Signals()
    signals.watch()
    for signum in handlers:
        os.kill(os.getpid(), signum)
    for signum, handler in handlers.items():
        signal.signal(signum, handler)
    assert signals.received == signal.SIGINT


def test_a_second_ctrl_c_stops_at_once(digits: Callable[..., list[str]]) -> None:
    process = FORKSERVER.Process(target=_interrupted_twice, args=(digits(),))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGINT


def test_ctrl_c_outside_of_training(digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    for name in ("training_step", "test_step"):
        with monkeypatch.context() as patched:
            patched.setattr(Classifier, name, interrupt)
            with pytest.raises(KeyboardInterrupt):
                main(["fit", *digits()])
