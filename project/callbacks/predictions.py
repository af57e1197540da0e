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
        certainty, predicted = torch.cat(list(predictions)).cpu().max(1)
        images = range(trainer.global_rank, len(data.test), trainer.world_size)[: len(predicted)]  # a limit leaves out
        columns = (data.test.labels[list(images)], predicted, certainty)
        path = self.path if trainer.world_size == 1 else self.path.with_suffix(f".{trainer.global_rank}.csv")
        with path.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("image", "label", "predicted", "probability"))
            for image, label, guess, share in zip(images, *(one.tolist() for one in columns), strict=True):
                rows.writerow((image, data.class_names[label], data.class_names[guess], f"{share:.4f}"))
        print(f"predictions of {len(images)} test images: {path}")
