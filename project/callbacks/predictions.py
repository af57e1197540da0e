"""The file that `predict` writes."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter


class Predictions(BasePredictionWriter):
    """Writes a CSV file: for each test image its number, label, predicted class and the probability of that class."""

    def __init__(self, path: Path) -> None:
        super().__init__("epoch")
        self.path = path

    def write_on_epoch_end(
        self, trainer: Trainer, pl_module: LightningModule, predictions: Sequence[Any], batch_indices: Sequence[Any]
    ) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        probabilities, predicted = torch.cat(list(predictions)).cpu().max(1)
        # limit_predict_batches may leave some out.
        images = range(trainer.global_rank, len(data.test), trainer.world_size)[: len(predicted)]
        columns = (data.test.labels[list(images)], predicted, probabilities)
        path = self.path if trainer.world_size == 1 else self.path.with_suffix(f".{trainer.global_rank}.csv")
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("image", "label", "predicted", "probability"))
            for image, *row in zip(images, *(column.tolist() for column in columns), strict=True):
                label, prediction, probability = row
                writer.writerow((image, data.class_names[label], data.class_names[prediction], f"{probability:.4f}"))
        print(f"predictions of {len(images)} test images: {path}")
