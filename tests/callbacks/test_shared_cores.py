"""A line warns of other programs that interrupt a run. The tests replace the counter of the system."""

import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from project.callbacks import shared_cores
from project.callbacks.shared_cores import SharedCores
from project.cli.main import main

LINE = "other programs interrupt the {} threads of this run {} times a second"


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Set the number of threads and of interruptions in a second. A step takes six seconds."""

    def patch(threads: int, rate: int) -> None:
        clock = count(0, 6)
        counter = count(1000, 6 * rate)
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        monkeypatch.setattr(shared_cores, "interruptions", lambda: next(counter))
        monkeypatch.setattr(shared_cores, "time", SimpleNamespace(monotonic=lambda: next(clock)))

    return patch


def test_a_run_says_it_once(
    digits: Callable[..., list[str]], interrupt: Callable[[int, int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    interrupt(2, 100)
    main(["fit", *digits()])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "interrupt" in line)
    assert line.startswith(LINE.format(2, 100))
    assert line.endswith("or start the run with --threads 1")


@pytest.mark.parametrize(
    ("threads", "rate", "expected"), [(2, 41, True), (2, 39, False), (8, 150, False), (8, 170, True), (1, 300, False)]
)
def test_how_often(
    interrupt: Callable[[int, int], None],
    capsys: pytest.CaptureFixture[str],
    threads: int,
    rate: int,
    expected: bool,
) -> None:
    interrupt(threads, rate)
    steps(SharedCores())
    assert (LINE.format(threads, rate) in capsys.readouterr().out) is expected


@pytest.mark.parametrize("of_the_run", [{"workers": 2}, {"device": "cuda"}, {"first": False}])
def test_no_line(
    interrupt: Callable[[int, int], None], capsys: pytest.CaptureFixture[str], of_the_run: dict[str, Any]
) -> None:
    interrupt(2, 100)
    steps(SharedCores(), **of_the_run)
    assert capsys.readouterr().out == ""


def steps(callback: SharedCores, device: str = "cpu", workers: int = 0, first: bool = True) -> None:
    strategy = SimpleNamespace(root_device=torch.device(device))
    data = SimpleNamespace(workers=workers)
    trainer: Any = SimpleNamespace(strategy=strategy, datamodule=data, is_global_zero=first)
    module: Any = None
    callback.on_train_start(trainer, module)
    for number in range(3):
        callback.on_train_batch_end(trainer, module, None, None, number)


@pytest.mark.skipif(sys.platform != "linux", reason="counted on Linux")
def test_all_threads_count() -> None:
    statuses = [path.read_text() for path in Path("/proc/self/task").glob("*/status")]
    counted = sum(int(status.split("nonvoluntary_ctxt_switches:")[1]) for status in statuses)
    assert 0 < counted <= shared_cores.interruptions()
