"""The table of metrics and the curves of a run."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from project.cli.main import main
from project.runs.loggers import MetricsTable

TABLE = Path("metrics.csv")


def table(first_step: int = 0) -> MetricsTable:
    return MetricsTable(Path(), first_step)


def rows(file: Path = TABLE) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def test_a_column_that_comes_later() -> None:
    metrics = table()
    metrics.log_metrics({"val/loss": torch.tensor(0.5), "epoch": 2}, 7)
    metrics.log_metrics({"lr": 1e-3, "a, b": 1, "epoch": 2}, 9)
    metrics.log_metrics({"val/loss": 0.25, "epoch": 2}, 11)
    assert TABLE.read_bytes() == (b'"a, b",epoch,lr,step,val/loss\r\n,2,,7,0.5\r\n1,2,0.001,9,\r\n,2,,11,0.25\r\n')


def test_a_row_is_in_the_file_at_once() -> None:
    metrics = table()
    for step in range(3):
        metrics.log_metrics({"lr": step / 2}, step)
        assert [row["lr"] for row in rows()] == [str(past / 2) for past in range(step + 1)]


def test_a_table_is_replaced_at_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = table()
    metrics.log_metrics({"lr": 0.5}, 1)
    before = TABLE.read_bytes()

    def killed(path: Path, target: Path) -> None:
        assert path.read_text().startswith("lr,step,val/loss")
        assert target.read_bytes() == before
        raise InterruptedError

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(InterruptedError):
        metrics.log_metrics({"val/loss": 0.5}, 2)
    assert TABLE.read_bytes() == before


def test_rows_before_the_first_step_stay() -> None:
    metrics = table()
    for step in range(5):
        metrics.log_metrics({"lr": step / 2}, step)
    metrics = table(first_step=3)
    metrics.log_metrics({"lr": 9.0}, 3)
    assert [row["lr"] for row in rows()] == ["0.0", "0.5", "1.0", "9.0"]


@pytest.mark.parametrize("cut", range(1, len(b"0.75,12\r\n") + 1))
def test_a_row_that_a_kill_cut_is_dropped(cut: int) -> None:
    metrics = table()
    metrics.log_metrics({"lr": 0.5}, 11)
    metrics.log_metrics({"lr": 0.75}, 12)
    TABLE.write_bytes(TABLE.read_bytes()[:-cut])
    metrics = table(first_step=12)
    assert TABLE.read_bytes() == b"lr,step\r\n0.5,11\r\n"
    metrics.log_metrics({"lr": 0.75}, 12)
    assert TABLE.read_bytes() == b"lr,step\r\n0.5,11\r\n0.75,12\r\n"


@pytest.mark.parametrize("left", [b"", b"lr,st", b"lr,step\r\n", b"lr,step\r\n0.5,1"])
def test_a_table_without_a_whole_row_begins_anew(left: bytes) -> None:
    TABLE.write_bytes(left)
    table(first_step=5).log_metrics({"lr": 0.25, "val/loss": 1}, 5)
    assert TABLE.read_bytes() == b"lr,step,val/loss\r\n0.25,5,1\r\n"


def test_epochs_are_counted_from_1(digits: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    main(["fit", *digits(epochs=3), "--trainer.log_every_n_steps", "4"])
    printed = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert printed == ["1/3", "2/3", "3/3"]
    run = Path("lightning_logs/mlp/version_0")
    logged = rows(run / TABLE)
    of = {name: [row["epoch"] for row in logged if row[name]] for name in logged[0]}
    assert of["train/loss"] == of["val/loss"] == of["train/images_per_second"] == ["1", "2", "3"]
    assert of["train/lr"] == ["1"] * 3 + ["2"] * 3 + ["3"] * 3
    assert of["test/loss"] == ["3"]
    assert "epoch" not in EventAccumulator(str(run)).Reload().Tags()["scalars"]
