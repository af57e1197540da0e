"""Compiling before the training, so that no step waits for it."""

import time
from typing import Any

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from project.optim.muon import MuonSGD

RUNS = 3  # of each graph: with CUDA graphs, the first one compiles, the second one records, the third one replays


class Compilation(Callback):
    """Compiles a training step for each image size that the run will have. Prints how many seconds it took.

    It runs the steps on training images and takes back what they changed: buffers, such as the statistics of batch
    normalisation, gradients and random state.
    """

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}  # compile_seconds, if something is compiled

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        model: Any = pl_module
        if not model.is_compiled:
            return
        started = time.perf_counter()
        buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
        with isolate_rng():
            sides = [_run(trainer, model, *batch) for batch in _batches(trainer)]
        for buffer, before in buffers:
            buffer.copy_(before)
        model.zero_grad()
        _compile_optimizers(trainer)
        self.figures["compile_seconds"] = seconds = time.perf_counter() - started
        sizes = " and ".join(f"{side}x{side}" for side in sides)
        rank_zero_only(print)(f"compiled for images of {sizes} pixels in {seconds:.1f} s", flush=True)


def _batches(trainer: Trainer) -> list[tuple[Tensor, Tensor]]:
    """A batch of each size that is still to come, as the training has it."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    batches_of_training: Any = trainer.train_dataloader
    *_, done, total = batches_of_training.position()
    whole = data.sample(data.batch_size)
    labels = torch.zeros(len(whole), dtype=torch.int64, device=whole.device)
    batches = []
    for end in sorted({*data.augmentation.curriculum.values(), 1.0}):
        if end > done / total:
            images = data.augmentation.shrink(whole, end - 1e-9)
            batches.append(data.mix.apply(images, labels, 0) if data.mix else (images, labels))
    return batches


def _run(trainer: Trainer, model: Any, images: Tensor, labels: Tensor) -> int:
    """Run a step, and return the side of its images in pixels."""
    for _ in range(RUNS):
        batch = trainer.precision_plugin.convert_input((images, labels))
        with trainer.precision_plugin.train_step_context():
            *_, loss = model.training_losses(*batch)
        loss.backward()
        model.zero_grad()
    return images.shape[-1]


def _compile_optimizers(trainer: Trainer) -> None:
    """Muon's iterations are many small operations, for which a GPU waits; a CPU gains nothing by it."""
    if trainer.strategy.root_device.type == "cuda":
        for optimizer in trainer.optimizers:
            if isinstance(optimizer, MuonSGD):
                optimizer.compile()
