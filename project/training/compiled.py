"""The network and the loss of a training step as one compiled graph."""

from typing import Any, Literal

import torch
from torch import Tensor

from project.training.recorded import RecordedStep, StepOfModel, can_record

Mode = Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]
KERNELS: dict[Mode, Mode] = {"reduce-overhead": "default", "max-autotune": "max-autotune-no-cudagraphs"}
"""Modes that record the kernels of a step and replay them, each with the mode that makes these kernels."""
GRAPHS = 64  # that torch may compile of one function, one for each image size; by default 8, and then it stops


class CompiledStep:
    """A step of a model, compiled anew for each size of the images.

    Shapes are fixed in a graph, because a graph for any size is slower. torch's own modes with CUDA graphs record the
    forward and the backward pass in two graphs, and find them again by much Python. RecordedStep has one.
    """

    def __init__(self, step: StepOfModel, mode: Mode) -> None:
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, GRAPHS)
        self._step: StepOfModel = torch.compile(step, mode=KERNELS.get(mode, mode), dynamic=False)
        self._recorded = RecordedStep(self._step) if mode in KERNELS else None
        self._is_recorded = False

    def __call__(self, model: Any, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        self._is_recorded = self._recorded is not None and can_record(model, images)
        if self._recorded is not None and self._is_recorded:
            return self._recorded(model, images, labels)
        return self._step(model, images, labels)

    def backward(self, loss: Tensor, divisor: int) -> None:
        """Give the weights the gradients of the last step's `loss`, which is already divided by `divisor`."""
        if self._recorded is not None and self._is_recorded:
            self._recorded.backward(divisor)
        else:
            loss.backward()  # type: ignore[no-untyped-call]
