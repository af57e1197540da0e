"""Compiling before the training, so that no step waits for it."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from project.callbacks.finetuning import Finetuning
from project.optim.muon import MuonSGD

RUNS = 2  # of each graph: the first one compiles it, and records it if the mode does; the second one replays it


class Compilation(Callback):
    """Compiles a training step for each image size that the run will have. Prints how many seconds it took.

    With Finetuning, it compiles a step with the frozen backbone, and one in which the backbone learns.

    It runs the steps on training images and takes back what they changed: buffers, such as the statistics of batch
    normalisation, gradients and random state.
    """

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}  # compile_seconds, if something is compiled

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        model: Any = pl_module
        if not model.compiled:
            return
        started = time.perf_counter()
        buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
        with isolate_rng():
            sides = [_run(trainer, model, batch, state) for batch, state in _steps(trainer)]
        for buffer, before in buffers:
            buffer.copy_(before)
        model.zero_grad()
        compile_optimizers(trainer)
        self.figures["compile_seconds"] = seconds = time.perf_counter() - started
        sizes = " and ".join(f"{side}x{side}" for side in dict.fromkeys(sides))
        rank_zero_only(print)(f"compiled for images of {sizes} pixels in {seconds:.1f} s", flush=True)


def _steps(trainer: Trainer) -> Iterator[tuple[tuple[Tensor, Tensor], AbstractContextManager[None]]]:
    """A batch of each size that is still to come, as the training has it, and the state of the network in that step."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    batches_of_training: Any = trainer.train_dataloader
    *_, done, total = batches_of_training.position()
    whole = data.sample(data.batch_size)
    labels = torch.zeros(len(whole), dtype=torch.int64, device=whole.device)
    for begin, end, state in _parts(trainer, done / total, total):
        first = 0.0
        for last in sorted({*data.augmentation.curriculum.values(), 1.0}):
            if begin < last and (first <= begin or first < end):
                images = data.augmentation.shrink(whole, last - 1e-9)
                yield data.mix.apply(images, labels, 0) if data.mix else (images, labels), state()
            first = last


def _parts(trainer: Trainer, begin: float, total: float) -> Iterator[tuple[float, float, Any]]:
    """The parts of the rest of the run, from share to share of it, and the state of the network in each of them.

    Args:
        trainer: Of the run.
        begin: The share that is done.
        total: Number of batches of the run.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks:
        if isinstance(callback, Finetuning) and callback.is_frozen and callback.unfreeze_at_epoch is not None:
            unfrozen_at = min(1.0, callback.unfreeze_at_epoch * trainer.num_training_batches / total)
            yield begin, unfrozen_at, nullcontext
            yield unfrozen_at, 1.0, callback.unfrozen
            return
    yield begin, 1.0, nullcontext


def _run(trainer: Trainer, model: Any, inputs: tuple[Tensor, Tensor], state: AbstractContextManager[None]) -> int:
    """Run a step in a state of the network, and return the side of its images in pixels."""
    batch = trainer.precision_plugin.convert_input(inputs)
    with state:
        for _ in range(RUNS):
            with trainer.precision_plugin.train_step_context():
                *_, loss = model.training_losses(*batch)
            model.backward(loss)
            model.zero_grad()
    return int(inputs[0].shape[-1])


def compile_optimizers(trainer: Trainer) -> None:
    """Muon's iterations are many small operations, for which a GPU waits; a CPU gains nothing by it."""
    if trainer.strategy.root_device.type == "cuda":
        for optimizer in trainer.optimizers:
            if isinstance(optimizer, MuonSGD):
                optimizer.compile()
