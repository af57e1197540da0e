"""What options may be given, and what they then do."""

import csv
from collections.abc import Callable
from pathlib import Path

import yaml

from project.cli.main import main

RUN = Path("lightning_logs/mlp/version_0")
FEW = ["--trainer.max_steps", "3", "--trainer.log_every_n_steps", "1", "--trainer.limit_val_batches", "1"]


def losses(run: Path) -> list[str]:
    with (run / "metrics.csv").open() as file:
        return [row["train/loss_step"] for row in csv.DictReader(file) if row["train/loss_step"]]


def test_the_config_of_a_run_repeats_it(digits: Callable[..., list[str]]) -> None:
    main(["fit", *digits(), *FEW, "--seed_everything", "7", "--trainer.precision", "32"])
    saved = yaml.safe_load((RUN / "config.yaml").read_text())
    assert (saved["seed_everything"], saved["trainer"]["precision"]) == (7, "32")
    main(["fit", "--config", str(RUN / "config.yaml")])
    assert len(losses(RUN)) == 3
    assert losses(RUN.with_name("version_1")) == losses(RUN)
    Path("number.yaml").write_text("trainer: {precision: 32}\nseed_everything: 8")
    main(["fit", *digits(), *FEW, "--config", "number.yaml"])
    assert losses(RUN.with_name("version_2")) != losses(RUN)
