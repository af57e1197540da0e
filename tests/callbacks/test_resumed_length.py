"""What a run that goes on with another number of processes says. test_reported_figures.py has such a run."""

from types import SimpleNamespace
from typing import Any

import pytest

from project.callbacks import resumed_length
from project.callbacks.resumed_length import ResumedLength


@pytest.mark.parametrize(
    ("before", "now", "batch_size", "line"),
    [
        (2, 2, 50, ""),
        (
            2,
            1,
            100,
            "1 process in place of 2: their batches have 100 images together as before, so only rounding differs",
        ),
        (
            1,
            2,
            50,
            "2 processes in place of 1: their batches have 100 images together in place of 50, so steps and epochs",
        ),
        (1, 2, 50, " are others; --data.batch_size 25 keeps 50"),
        (
            2,
            3,
            50,
            "have 150 images together in place of 100, so steps and epochs are others; they cannot share 100 evenly",
        ),
    ],
)
def test_other_processes(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    before: int,
    now: int,
    batch_size: int,
    line: str,
) -> None:
    monkeypatch.setattr(resumed_length, "saved_position", lambda checkpoint: None)
    monkeypatch.setattr(ResumedLength, "_check", lambda *args: None)
    settings = {"data": {"init_args": {"batch_size": 50}}}
    callback = ResumedLength("last.ckpt", {"environment": {"processes": before}, "settings": settings})
    trainer: Any = SimpleNamespace(
        world_size=now, is_global_zero=True, datamodule=SimpleNamespace(batch_size=batch_size)
    )
    module: Any = None
    callback.setup(trainer, module, "fit")  # type: ignore[arg-type]
    said = capsys.readouterr().out
    assert line in said
    assert bool(said) == bool(line)
