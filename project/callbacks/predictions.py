"""What `predict` writes."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter


class Predictions(BasePredictionWriter):
    """Writes image, label, predicted class and its probability for each test image as CSV, and prints where."""

    def __init__(self, path: Path) -> None:
        super().__init__("epoch")
        self.path = path

    def write_on_epoch_end(
        self, trainer: Trainer, pl_module: LightningModule, predictions: Sequence[Any], batch_indices: Sequence[Any]
    ) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        chosen = data.test.labels[trainer.global_rank :: trainer.world_size]
        certainty, predicted = torch.cat(list(predictions)).cpu().max(1)
        path = self.path if trainer.world_size == 1 else self.path.with_suffix(f".{trainer.global_rank}.csv")
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("image", "label", "predicted", "probability"))
            for place, (label, guess, share) in enumerate(
                zip(chosen.tolist(), predicted.tolist(), certainty.tolist(), strict=True)
            ):
                image = trainer.global_rank + place * trainer.world_size
                rows.writerow((image, data.class_names[label], data.class_names[guess], f"{share:.4f}"))
        print(f"predictions of {len(chosen)} test images: {path}")
