"""The file that `predict` writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter

from project.system.files import atomic_write, output_errors
from project.system.tables import TableWriter, open_text, path_text
from project.training.agreement import gathered


class Predictions(BasePredictionWriter):
    """Writes a CSV file that has a row for each test image, in order: image, label, predicted class, its probability.

    The image is the path of its file in the folder of the data, if it has one; otherwise its number. For the form of
    the file see project.system.tables.
    """

    def __init__(self, path: Path) -> None:
        super().__init__("epoch")
        self.path = path

    def write_on_epoch_end(
        self, trainer: Trainer, pl_module: LightningModule, predictions: Sequence[Any], batch_indices: Sequence[Any]
    ) -> None:
        """Write the predictions of all processes in the first of them."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        probabilities, predicted = torch.cat(list(predictions)).cpu().max(1)
        # limit_predict_batches may leave some out.
        images = range(trainer.global_rank, len(data.test), trainer.world_size)[: len(predicted)]
        columns = (images, data.test.labels[list(images)].tolist(), predicted.tolist(), probabilities.tolist())
        rows = gathered(trainer, list(zip(*columns, strict=True)))
        if trainer.is_global_zero:
            self._write(data, sorted(row for of_process in rows for row in of_process))

    def _write(self, data: Any, rows: Sequence[tuple[int, int, int, float]]) -> None:
        files = getattr(data.test, "names", None)
        with output_errors(self.path), atomic_write(self.path) as unfinished, open_text(unfinished) as file:
            table = TableWriter(file, ("image", "label", "predicted", "probability"))
            for image, label, predicted, probability in rows:
                name = image if files is None else path_text(str(files[image]))
                table.write((name, data.class_names[label], data.class_names[predicted], round(probability, 4)))
        print(f"predictions of {len(rows)} test images: {self.path}")
