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
    forward and the backward pass in two graphs, and need more Python code to replay them than RecordedStep for its one.
    """

    def __init__(self, step: StepOfModel, mode: Mode) -> None:
        config = torch._dynamo.config
        config.recompile_limit = max(config.recompile_limit, GRAPHS)
        # With it, torch 2.11 does not see that Finetuning unfreezes parameters, which then get no gradients.
        config.skip_tensor_guards_with_matching_dict_tags = False
        self._step: StepOfModel = torch.compile(step, mode=KERNELS.get(mode, mode), dynamic=False)
        self._recorder = RecordedStep(self._step) if mode in KERNELS else None
        self.recorded: RecordedStep | None = None  # which has the gradients of the last step; else autograd has them

    def __call__(self, model: Any, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        self.recorded = self._recorder if self._recorder and can_record(model, images) else None
        return (self.recorded or self._step)(model, images, labels)
