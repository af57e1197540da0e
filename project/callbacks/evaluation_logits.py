"""The logits of a validation or a test, of all processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor

from project.data.images import ImageSet
from project.training.agreement import gathered


@dataclass(frozen=True)
class Logits:
    """The logits of the images of a set, in the order of the set, on the CPU.

    indices: [N] int64, the place of each image in the set, ascending.
    labels: [N] int64.
    logits: [N, num_classes] float32.
    """

    indices: Tensor
    labels: Tensor
    logits: Tensor

    def arrays(self, images: ImageSet, class_names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """The content of test.npz by its names.

        index: [N] int64, the place of each image in the test set. name: [N] text, the path of its file in the data's
        folder; only if the set has names. label: [N] int64. logits: [N, num_classes] float32. class_names:
        [num_classes] text.
        """
        index = self.indices.numpy()
        names = getattr(images, "names", None)
        return {
            "index": index,
            **({} if names is None else {"name": np.array(names, dtype=np.str_)[index]}),
            "label": self.labels.numpy(),
            "logits": self.logits.numpy(),
            "class_names": np.array(class_names, dtype=np.str_),
        }


class EvaluationLogits(Callback):
    """Collects the logits of the last validation and of the last test of all processes, in each of them.

    They are those that the Classifier's steps return. They are there when on_validation_end and on_test_end of other
    callbacks are called. A sanity check is no validation. limit_val_batches and limit_test_batches leave images out.
    """

    def __init__(self) -> None:
        self.validation: Logits | None = None
        self.test: Logits | None = None
        self._batches: list[tuple[Tensor, Tensor]] = []

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._batches = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._batches.append((_on_cpu(batch[1]), _on_cpu(outputs)))

    on_test_start, on_test_batch_end = on_validation_start, on_validation_batch_end

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.sanity_checking:
            self.validation = self._gather(trainer)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.test = self._gather(trainer)

    def _gather(self, trainer: Trainer) -> Logits:
        """The logits of all processes. Each has every world_size-th image; see EvaluationBatches."""
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize()  # the copies to the CPU do not make a step wait
        labels, logits = (torch.cat(parts) for parts in zip(*self._batches, strict=True))
        self._batches = []
        indices = trainer.global_rank + trainer.world_size * torch.arange(len(labels))
        of_processes = zip(*gathered(trainer, (indices, labels, logits)), strict=True)
        indices, labels, logits = (torch.cat(parts) for parts in of_processes)
        order = indices.argsort()
        return Logits(indices[order], labels[order], logits[order])


def _on_cpu(values: Tensor) -> Tensor:
    return values.to("cpu", non_blocking=values.device.type == "cuda")
