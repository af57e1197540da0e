"""Every option that the parser has, found from the parser, with values that it may not be made for.

Each start runs, or ends in one `error:` line with the option's name and exit code 2, and leaves no run behind then.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from project.cli.experiment import ExperimentCLI
from project.cli.main import main
from project.cli.values import leaves
from project.data import Digits
from project.system.process import settle
from tests.conftest import CONFIGS, REPOSITORY

# fmt: off
VALUES = [
    ".nan", "-1", "0", "1e9", "text", "", "[1, 2]", "{a: 1}", "null", "true", "12345678901234567890", "0.5",
    "some/path", "two\nlines", "nan", "-.inf", "1e400", "{1:2}",
]
# fmt: on
FEW = [
    *("--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.limit_train_batches", "2"),
    *("--trainer.limit_val_batches", "1", "--trainer.limit_test_batches", "1"),
]
SECONDS = 100  # after which a start that runs is ended


def words(experiment: str, *options: str) -> list[str]:
    configs = ["--config", str(CONFIGS / f"{experiment}.yaml"), "--config", str(CONFIGS / "data/digits.yaml")]
    return ["fit", *configs, *FEW, *options]


CALLBACKS = [
    *("--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss"),
    *("--trainer.callbacks+=ModelCheckpoint", "--trainer.callbacks.monitor=val/loss"),
]
RUNS = {
    "convnet": words("convnet"),
    "mlp": words("mlp", "--model.optimizer=SGD", "--model.lr_scheduler=Plateau", *CALLBACKS),
    "speed": words("speed", "--data.batch_size=100"),
}


def options(run: list[str]) -> list[str]:
    """The options of a run and of its classes."""
    found: list[str] = []

    class Parsed(ExperimentCLI):
        def before_instantiate_classes(self) -> None:
            found.extend(name for name, _ in leaves(self.config["fit"]))
            raise SystemExit

    with pytest.raises(SystemExit):
        Parsed(run, cleanup=None)  # type: ignore[arg-type]
    return list(dict.fromkeys(name.removesuffix(".class_path") for name in found if name != "config"))


def problem(option: str, code: int, errors: str) -> str:
    """Empty where a start ended as it should."""
    lines = errors.strip().splitlines()
    if code in (0, -signal.SIGALRM) and "Traceback" not in errors:
        return ""
    part, _, last = option.rpartition(".")
    if code == 2 and len(lines) == 1 and lines[0].startswith(f"error: --{part}") and last in lines[0]:
        return ""
    if code == 2 and last.endswith("_lr") and "is nan at step" in lines[0] and lines[0].endswith(f" of --{part}"):
        return ""
    return f"code {code}: {errors[-1000:]}"


def test_each_option_with_an_odd_value(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as to the data, each with one of the values in turn; the other values are in the slow test."""

    def stop(*_: object) -> None:
        raise SystemExit(0)

    monkeypatch.setattr(Digits, "load", stop)
    monkeypatch.setattr(sys, "argv", ["main.py"])
    run = RUNS["mlp"]
    found = options(run)
    assert len(found) > 80
    assert {"trainer.devices", "model.optimizer.momentum", "trainer.callbacks.patience", "data.shift"} <= set(found)
    problems = {}
    for number, option in enumerate(found):
        value = VALUES[number % len(VALUES)]
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([*run, f"--{option}={value}"])
        code = stopped.value.code
        assert isinstance(code, int)
        if found_problem := problem(option, code, capsys.readouterr().err):
            problems[f"--{option}={value}"] = found_problem
    assert problems == {}
    assert not list(Path().glob("lightning_logs/*/*"))


@pytest.mark.slow
@pytest.mark.skipif("EVERY_OPTION" not in os.environ, reason="set EVERY_OPTION to start each option with each value")
@pytest.mark.parametrize("run", RUNS)
def test_each_option_with_each_value(run: str) -> None:
    """Twenty minutes for each run, in a process that has one thread: a fork of one with several may stand still."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "tests.cli.test_every_option", run]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert json.loads(done.stdout) == {}


def start(arguments: list[str]) -> tuple[int, str]:
    """Exit code and standard error of a command in a fork, which has all modules already."""
    shutil.rmtree("lightning_logs", ignore_errors=True)
    if child := os.fork():
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), Path("errors").read_text(errors="replace")
    signal.alarm(SECONDS)
    for number, name in ((1, "output"), (2, "errors")):
        os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
    code: Any = 0
    try:
        main(arguments)
    except SystemExit as stopped:
        code = stopped.code
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)


def each(run: list[str]) -> Iterator[tuple[str, str]]:
    """Every start that did not end as it should, with what is wrong."""
    for option in options(run):
        for value in VALUES:
            if found := problem(option, *start([*run, f"--{option}={value}"])):
                yield f"--{option}={value}", found


if __name__ == "__main__":
    asked = RUNS[sys.argv.pop()]
    settle()
    with tempfile.TemporaryDirectory() as directory, contextlib.chdir(directory):
        print(json.dumps(dict(each(asked))))
