"""The network and the loss of a training step as one compiled graph."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

Mode = Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]
CUDA_GRAPHS = ("reduce-overhead", "max-autotune")  # modes that record the kernels of a step and replay them
GRAPHS = 64  # that torch may compile of one function, one for each image size; by default 8, and then it stops
Step = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""From images [N, C, H, W] and labels to tensors."""
StepOfModel = Callable[[Any, Tensor, Tensor], tuple[Tensor, ...]]
"""The same, from the model, the images and the labels."""


def compile_step(step: StepOfModel, mode: Mode) -> StepOfModel:
    """The same function, compiled anew for each size of the images.

    Shapes are fixed in a graph, because a graph for any size is slower. A graph of a mode with CUDA graphs overwrites
    what it returned before, so its tensors are copied.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, GRAPHS)
    compiled: StepOfModel = torch.compile(step, mode=mode, dynamic=False)
    if mode not in CUDA_GRAPHS:
        return compiled

    def replay(model: Any, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        return tuple(output.clone() for output in compiled(model, images, labels))

    return replay
