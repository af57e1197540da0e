"""Epochs count from 1 in Lightning's progress bars, loggers and file names."""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from project.cli.main import main
from tests.conftest import STEPS

RUN = Path("lightning_logs/mlp/version_0")


@pytest.mark.parametrize("name", ["TQDMProgressBar", "RichProgressBar"])
def test_lightnings_parts_count_epochs_from_1(
    digits: Callable[..., list[str]],
    stop_at: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """A bar, a logger and a ModelCheckpoint that the user asks for count as the terminal does, also when resumed."""
    monkeypatch.setenv("COLUMNS", "200")
    logger = ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", "."]
    checkpoint = ["--trainer.callbacks+", "ModelCheckpoint", "--trainer.callbacks.save_top_k", "-1"]
    words = [*digits(epochs=2), "--trainer.callbacks", name, *checkpoint, *logger]
    monkeypatch.setattr(Console, "is_terminal", True)
    words += ["--checkpoints.every_n_steps", str(STEPS + 3)]
    stop_at(STEPS + 6, words)
    main(["fit", *words, "--ckpt_path", "last"])
    printed = re.sub(r"\x1b\[[\d;]*m", "", "".join(capsys.readouterr()))
    drawn = re.findall(rf"Epoch +([^\s:]+)[^\r\n]*? (\d+)/{STEPS}", printed)
    assert {epoch for epoch, batches in drawn if batches != "0"} == {"1/2", "2/2"}  # at 0 TQDM's is not yet replaced
    for path in Path("lightning_logs").glob("version_*/metrics.csv"):
        with path.open() as file:
            epochs = [(int(row["step"]), int(row["epoch"])) for row in csv.DictReader(file) if row["epoch"]]
        assert epochs
        assert all(epoch == (1 if step < STEPS else 2) for step, epoch in epochs)
    names = {path.name for path in RUN.glob("checkpoints/epoch*")}
    assert names == {f"epoch=1-step={STEPS}.ckpt", f"epoch=2-step={2 * STEPS}.ckpt"}
