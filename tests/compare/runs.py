"""Run directories of given settings and figures, as a fit leaves them, and what compare prints of them."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

Printed = Callable[..., list[str]]
"""Gives the lines that compare prints."""
ADAMW = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.005, "betas": [0.9, 0.999], "weight_decay": 0.05}}
SGD = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05}}


def config(seed: int = 0, optimizer: Mapping[str, Any] = ADAMW, **data: Any) -> dict[str, Any]:
    """The settings of a run; `data` are options of the data module."""
    return {
        "seed_everything": seed,
        "name": None,
        "trainer": {"precision": "auto", "callbacks": None, "max_epochs": 10, "max_steps": -1},
        "model": {
            "network": {"class_path": "project.networks.ConvNet", "init_args": {"widths": [32, 64]}},
            "optimizer": dict(optimizer),
            "compile": False,
        },
        "data": {"class_path": "project.data.Digits", "init_args": {"batch_size": 125, "classes": None, **data}},
        "ckpt_path": None,
    }


def write_run(
    path: Path | str,
    settings: Mapping[str, Any] | None = None,
    figures: Mapping[str, Any] | None = None,
    validation: Sequence[float] = (0.5, 0.75, 0.625),
) -> Path:
    """A run directory.

    Args:
        path: Of the directory; its parents are made.
        settings: Of config.yaml.
        figures: Of results.json; None for a run that has not finished.
        validation: The accuracy after each epoch, in metrics.csv.
    """
    path = Path(path)
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(
        "# lightning.pytorch==2.6.6\n" + yaml.safe_dump(settings or config(), sort_keys=False)
    )
    environment = {"experiment": path.parent.name, "cores": 2, "data": {"class": "Digits", "sha256": "9169f254"}}
    (path / "environment.yaml").write_text(yaml.safe_dump(environment, sort_keys=False))
    rows = [f"{epoch},{10 * epoch},{accuracy},{1 - accuracy}\n" for epoch, accuracy in enumerate(validation, 1)]
    (path / "metrics.csv").write_text("epoch,step,val/accuracy,val/loss\n" + "".join(rows))
    if figures is not None:
        (path / "results.json").write_text(json.dumps(figures))
    return path


def write_logits(run: Path, logits: NDArray[Any], labels: NDArray[Any], classes: Sequence[str] | None = None) -> None:
    """test.npz of a run: logits [N, K] and labels [N]."""
    np.savez(
        run / "test.npz",
        index=np.arange(len(labels)),
        label=labels.astype(np.int64),
        logits=logits.astype(np.float32),
        class_names=np.array(classes or [f"class {number}" for number in range(logits.shape[1])]),
    )


def cells(line: str) -> list[str]:
    """The cells of a printed row of a table."""
    return re.split(r"\s{2,}", line.strip())
