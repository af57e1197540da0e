"""Forward and backward pass of a training step as one CUDA graph: Python replays all their kernels by one call."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

StepOfModel = Callable[[Any, Tensor, Tensor], tuple[Tensor, ...]]
"""From the model, the images [N, C, H, W] and the labels to tensors, the last of which is the loss to minimise."""
WARM_UPS = 3  # runs before a recording, in which the libraries choose their algorithms and get their memory


@dataclass(frozen=True)
class Recording:
    """A recorded step for one shape of batch. Each replay overwrites the outputs and gradients of the last one."""

    inputs: tuple[Tensor, Tensor]
    outputs: tuple[Tensor, ...]
    parameters: list[nn.Parameter]
    gradients: list[Tensor | None]
    replay: Callable[[], object]


class RecordedStep:
    """Runs a step with its backward pass. Records it for each shape of batch and each state of the network."""

    def __init__(self, step: StepOfModel) -> None:
        self._step = step
        self._recordings: dict[Hashable, Recording] = {}
        self._last: Recording | None = None
        self._pool: Any = None  # memory that the recordings share, because only one of them runs at a time

    def __call__(self, model: Any, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        """The outputs of the step, without a graph of autograd; `backward` gives the gradients."""
        network: nn.Module = model.network
        weights = tuple((weights.data_ptr(), weights.requires_grad) for weights in network.parameters())
        modes = tuple(module.training for module in network.modules())
        key = (images.shape, images.stride(), images.dtype, labels.shape, labels.dtype, weights, modes)
        if key not in self._recordings:
            self._recordings[key] = self._record(model, images.clone(), labels.clone())
        recording = self._last = self._recordings[key]
        for static, given in zip(recording.inputs, (images, labels), strict=True):
            static.copy_(given)
        recording.replay()
        return tuple(output.clone() for output in recording.outputs)

    def backward(self, divisor: int = 1) -> None:
        """Set the gradients of the last step, divided by the number of batches for which they are accumulated."""
        assert self._last is not None
        for parameter, gradient in zip(self._last.parameters, self._last.gradients, strict=True):
            if gradient is None:
                continue
            if divisor == 1:
                parameter.grad = gradient
            else:
                part = gradient / divisor
                parameter.grad = part if parameter.grad is None else parameter.grad + part

    def _record(self, model: Any, images: Tensor, labels: Tensor) -> Recording:
        parameters = [weights for weights in model.network.parameters() if weights.requires_grad]

        def run() -> tuple[tuple[Tensor, ...], list[Tensor | None]]:
            outputs = self._step(model, images, labels)
            gradients = torch.autograd.grad(outputs[-1], parameters, allow_unused=True)
            matched = [_in_order_of(*pair) for pair in zip(parameters, gradients, strict=True)]
            return tuple(output.detach() for output in outputs), matched

        if self._pool is None:
            self._pool = memory_pool()
        replay, (outputs, gradients) = record(run, self._pool)
        return Recording((images, labels), outputs, parameters, gradients, replay)


def can_record(model: Any, images: Tensor) -> bool:
    """Whether the training is on one GPU: several exchange gradients in the backward pass, and a scaler needs it."""
    trainer = model.trainer
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    return images.device.type == "cuda" and trainer.world_size == 1 and scaler is None


def memory_pool() -> Any:
    return torch.cuda.graph_pool_handle()


def record(run: Callable[[], Any], pool: Any) -> tuple[Callable[[], object], Any]:
    """Record what `run` does on the GPU. Return a function that does it again, and what `run` returned."""
    current, aside = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
    aside.wait_stream(current)
    with torch.cuda.stream(aside):
        for _ in range(WARM_UPS):
            run()
    current.wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        made = run()
    return graph.replay, made


def _in_order_of(weights: Tensor, gradient: Tensor | None) -> Tensor | None:
    """The gradient in the memory order of its weights, as torch's backward pass gives it."""
    if gradient is None or gradient.stride() == weights.stride():
        return gradient
    return torch.empty_like(weights).copy_(gradient)
