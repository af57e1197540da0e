"""The file of `predict` has a row for each predicted test image, with any number of processes."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from project.cli.main import main
from tests.cli.test_predict_images_errors import small_files
from tests.conftest import CONFIGS
from tests.data_sets import write_image_folder
from tests.runs.test_launchers import two_processes

CONFIG = ["--config", str(CONFIGS / "mlp.yaml"), "--config", str(CONFIGS / "data/image_folder.yaml")]
OPTIONS = ["--data.image_size", "16", "--data.batch_size", "4", "--data.workers", "0", "--trainer.accelerator", "cpu"]
DDP = ["--trainer.strategy", "ddp", "--trainer.devices", "2"]
IMAGES = 22  # a tenth of 220, in six batches of four, or three for each of two processes


def rows() -> list[dict[str, str]]:
    """The rows of the one file, which is then removed."""
    (path,) = Path().glob("lightning_logs/mlp/version_0/checkpoints/*.csv")
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    path.unlink()
    return found


def test_rows(capsys: pytest.CaptureFixture[str]) -> None:
    write_image_folder(Path("images"))
    words = [*CONFIG, *OPTIONS, "--data.data_dir", str(Path("images").absolute())]
    main(["fit", *words, "--trainer.max_steps", "5"])
    results = json.loads(Path("lightning_logs/mlp/version_0/results.json").read_text())
    predict, limit = ["predict", *words, "--ckpt_path", "last"], ["--trainer.limit_predict_batches", "2"]
    assert main(predict).predictions == Path("lightning_logs/mlp/version_0/checkpoints/last.predictions.csv")
    with pytest.raises(SystemExit):
        main([*predict, *limit])
    assert "last.predictions.csv: it exists; name another, or replace it by --force" in capsys.readouterr().err
    main([*predict, *limit, "--output", "few.csv"])
    assert len(Path("few.csv").read_text().splitlines()) == 1 + 8
    with pytest.raises(SystemExit):
        main([*predict, "--output", "few.jsonl"])
    assert "--output few.jsonl: give a name that ends in .csv" in capsys.readouterr().err
    main([*predict, "--force"])
    whole = rows()
    files = [Path("images", row["image"]) for row in whole]
    assert len(set(files)) == IMAGES
    assert all(file.is_file() and file.parent.name == row["label"] for file, row in zip(files, whole, strict=True))
    with np.load("lightning_logs/mlp/version_0/test.npz") as saved:
        assert saved["name"].tolist() == [row["image"] for row in whole]
        assert [saved["class_names"][label] for label in saved["label"]] == [row["label"] for row in whole]
    right = sum(row["label"] == row["predicted"] for row in whole)
    assert right / IMAGES == pytest.approx(results["test/accuracy"])
    assert len({row["probability"] for row in whole}) > IMAGES / 2
    capsys.readouterr()
    main([*predict, *limit])
    assert rows() == whole[:8]
    assert "predictions of 8 test images" in capsys.readouterr().out
    # Of two processes' images every second is one's.
    (code, first), (other_code, second) = two_processes(main, [*predict, *DDP])
    assert (code, other_code) == (0, 0), first + second
    assert (first.count("predictions of"), second.count("predictions of")) == (1, 0)
    for row, expected in zip(rows(), whole, strict=True):
        assert float(row["probability"]) == pytest.approx(float(expected["probability"]), abs=2e-4)
        assert row == {**expected, "probability": row["probability"]}


def test_a_full_disk_leaves_the_old_file(
    digits: Callable[..., list[str]], error: Callable[..., str], finished_run: Callable[..., None]
) -> None:
    finished_run()
    Path("out.csv").write_text("earlier")
    with small_files(20):
        line = error("predict", *digits(), "--ckpt_path", "best", "--output", "out.csv", "--force")
    assert line == "--output out.csv: it cannot be written (File too large); mend that, or name another"
    assert Path("out.csv").read_text() == "earlier"
