"""The convolution with a gradient of its own, compared with torch's."""

import pytest
import torch
from torch import Tensor, nn

from project.networks import convolution
from project.networks.convolution import Convolution


def gradients(layer: nn.Conv2d, images: Tensor, factors: Tensor) -> list[Tensor | None]:
    images = images.clone().requires_grad_()
    (layer(images) * factors).sum().backward()
    return [images.grad, layer.weight.grad]


def test_gradients_are_those_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(convolution, "PATCH_NUMBERS", 2000)  # so that the batch has several parts
    ours, theirs = Convolution(6, 5).double(), nn.Conv2d(6, 5, 3, padding=1, bias=False).double()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(7, 6, 4, 5, dtype=torch.float64).to(memory_format=torch.channels_last)
    factors = torch.randn_like(theirs(images))
    torch.testing.assert_close(ours(images), theirs(images))
    torch.testing.assert_close(gradients(ours, images, factors), gradients(theirs, images, factors))


def test_bfloat16_and_memory_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient is float32, in the memory order of its weights. Larger images leave it to torch."""
    torch.manual_seed(0)
    ours = Convolution(6, 5).to(memory_format=torch.channels_last)
    images, used = torch.randn(7, 6, 7, 7), []
    original = convolution.weight_gradient

    def weight_gradient(images: Tensor, gradient: Tensor) -> Tensor:
        used.append(images.shape)
        return original(images, gradient)

    monkeypatch.setattr(convolution, "weight_gradient", weight_gradient)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, large = ours(images), ours(torch.zeros(2, 6, 8, 7))
    (outputs.float().square().sum() + large.float().sum()).backward()
    assert used == [images.shape]
    assert outputs.dtype == large.dtype == torch.bfloat16
    found, weights = ours.weight.grad, ours.weight.detach().requires_grad_()
    nn.functional.conv2d(images, weights, padding=1).square().sum().backward()
    assert found is not None
    assert weights.grad is not None
    assert (found - weights.grad).norm() < 0.01 * weights.grad.norm()
    assert (found.dtype, found.stride()) == (torch.float32, weights.stride())
