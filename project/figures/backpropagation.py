"""The gradients of a multi-layer perceptron: by the article's two formulas and by autograd."""

from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from project.data import CIFAR10
from project.data.normalisation import Normalisation
from project.figures.drawing import COLOURS, MARKS, panels, save
from project.networks import MLP

IMAGES = 100
SHOWN = 400  # number of weights in the picture for each layer, of up to 393,216


def gradients_by_formulas(network: MLP, images: Tensor, labels: Tensor) -> list[Tensor]:
    """The gradient of the cross-entropy for each parameter, computed node by node from the loss back.

    For the input of a node, dL/dx = dL/dy dy/dx. For its weights, dL/dw = dL/dy dy/dw.

    Args:
        network: A network with ReLU between its layers.
        images: (N, C, H, W).
        labels: (N,).
    """
    layers = list(network)[1:]
    values = [images.flatten(1)]
    for layer in layers:
        values.append(layer(values[-1]))
    # For softmax and the mean cross-entropy over N images, dL/dlogits = (probabilities - one-hot labels) / N.
    one_hot = nn.functional.one_hot(labels, values[-1].shape[1])
    upstream = (values[-1].softmax(1) - one_hot) / len(labels)
    gradients: list[Tensor] = []
    for layer, inputs in zip(reversed(layers), reversed(values[:-1]), strict=True):
        if isinstance(layer, nn.Linear):  # y = W x + b
            gradients = [upstream.T @ inputs, upstream.sum(0), *gradients]
            upstream = upstream @ layer.weight
        else:  # y = max(0, x)
            upstream = upstream * (inputs > 0)
    return gradients


def gradients_by_autograd(network: MLP, images: Tensor, labels: Tensor) -> list[Tensor]:
    """The same gradients, computed by PyTorch."""
    loss = nn.functional.cross_entropy(network(images), labels)
    return list(torch.autograd.grad(loss, list(network.parameters())))


def draw(directory: Path | None = None, data_dir: str = "data", **_: Any) -> Path:
    """Draw each gradient by the formulas against autograd's on the left, and their differences on the right."""
    images, labels = _images(data_dir)
    torch.manual_seed(0)
    network = MLP(10).double()
    with torch.no_grad():
        formula_gradients = gradients_by_formulas(network, images, labels)
    torch_gradients = gradients_by_autograd(network, images, labels)
    figure, axes = panels(2)
    weights = zip(formula_gradients[::2], torch_gradients[::2], strict=True)  # without the biases
    for layer, (by_hand, by_torch) in enumerate(weights):
        worst = float((by_hand - by_torch).norm() / by_torch.norm())
        print(f"  layer {layer + 1}, {by_hand.numel():,} weights: relative difference {worst:.1e}", flush=True)
        sample = torch.randperm(by_hand.numel())[:SHOWN]
        _points(axes, layer, by_hand.flatten()[sample], by_torch.flatten()[sample])
    axes[0].set(xlabel="by autograd", ylabel="by the two formulas", title="gradient of each weight")
    axes[0].legend(fontsize=8)
    axes[1].set(xscale="log", yscale="log", xlabel="size of the gradient", ylabel="size of the difference")
    axes[1].set_title("difference (grey: float64's rounding)")
    return save(figure, "backpropagation", directory)


def _points(axes: list[Axes], layer: int, by_hand: Tensor, by_torch: Tensor) -> None:
    style: dict[str, Any] = {"color": COLOURS[layer], "marker": MARKS[layer], "markersize": 3, "linestyle": "none"}
    axes[0].plot(by_torch, by_hand, label=f"layer {layer + 1}", **style)
    size, difference = by_torch.abs(), (by_hand - by_torch).abs()
    axes[1].plot(size[difference > 0], difference[difference > 0], **style)
    ends = torch.stack((size[size > 0].min(), size.max()))
    axes[1].plot(ends, ends * torch.finfo(torch.float64).eps, color="#999999", linewidth=1)


def _images(data_dir: str) -> tuple[Tensor, Tensor]:
    """The first training images of CIFAR-10, normalised (N, 3, 32, 32), and their labels (N,)."""
    data = CIFAR10(data_dir, batch_size=1, val_size=0)
    data.prepare_data()
    images, _ = data.load()
    normalise = Normalisation(data.mean, data.std, torch.device("cpu"))
    return normalise(images.pixels[:IMAGES]).permute(0, 3, 1, 2).double(), images.labels[:IMAGES]
