"""The whitened network: its sizes, its first layer, and its identity."""

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from project.networks import WhitenedConvNet


@pytest.mark.parametrize("patch", [1, 2, 3])
def test_whitened_patches_are_uncorrelated(patch: int) -> None:
    torch.manual_seed(0)
    smooth = torch.nn.functional.interpolate(torch.randn(500, 3, 5, 5), (20, 20), mode="bilinear")
    images = smooth @ torch.randn(20, 20) + 3 * torch.randn(500, 1, 20, 20)
    network = WhitenedConvNet(10, patch=patch)
    network.initialize(images)
    outputs = network.whitening(images).movedim(1, 0).flatten(1)
    components = 3 * patch**2
    torch.testing.assert_close(outputs[:components], -outputs[components:])
    torch.testing.assert_close(outputs[:components].cov(), torch.eye(components), atol=0.01, rtol=0)


def test_whitening_is_the_same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of images in another order and precision, of eigenvectors with other signs, and as NumPy computes it."""
    random = np.random.default_rng(0)
    images = random.normal(size=(200, 3, 6, 6)).cumsum(3) + random.normal(size=(200, 1, 6, 6))

    def rows(images: Tensor, network: WhitenedConvNet) -> Tensor:
        network.initialize(images)
        return network.whitening.weight.flatten(1)[:12].double()

    patches = sliding_window_view(images, (2, 2), (2, 3)).transpose(1, 4, 5, 0, 2, 3).reshape(12, -1)
    variances, components = np.linalg.eigh(np.cov(patches))
    expected = (components / np.sqrt(variances + 5e-4)).T
    for row in expected:
        row *= np.sign(next(entry for entry in row if abs(entry) >= 0.9 * abs(row).max()))

    single, double = WhitenedConvNet(10), WhitenedConvNet(10).double()
    computed = [rows(torch.tensor(images[::-1].copy()), double), rows(torch.tensor(images), single)]
    computed += [rows(torch.tensor(images, dtype=torch.float32), network) for network in (single, double)]
    eigh = torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda matrix: (eigh(matrix)[0], -eigh(matrix)[1]))
    computed.append(rows(torch.tensor(images), double))
    for found in computed:
        torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=1e-6)


def test_sizes_and_gradients() -> None:
    torch.manual_seed(0)
    network = WhitenedConvNet(7, widths=(30, 40, 50), patch=3)
    convolutions = 9 * (54 * 30 + 30 * 30 + 30 * 40 + 40 * 40 + 40 * 50 + 50 * 50)
    learned = [weights for weights in network.parameters() if weights.requires_grad]
    assert sum(weights.numel() for weights in learned) == convolutions + 2 * (30 + 40 + 50) + 7 * 50
    for side in (16, 24, 32):
        logits = network(torch.randn(64, 3, side, side))
        assert logits.shape == (64, 7)
    logits.square().sum().backward()
    assert all(weights.grad is not None and weights.grad.abs().sum() > 0 for weights in learned)
    assert network.whitening.weight.grad is None


def test_convolutions_begin_as_the_identity() -> None:
    images = torch.randn(2, 24, 9, 9)
    convolution = WhitenedConvNet(10).groups[0][0]
    torch.testing.assert_close(convolution(images)[:, :24], images)
    assert convolution(images)[:, 24:].abs().sum() > 0


def test_one_of_equal_maxima_gets_the_gradient() -> None:
    """amax would share it among them, by a formula that is not finite when compiled on CUDA (torch 2.11)."""
    network = WhitenedConvNet(2)
    network.whitening = network.groups = torch.nn.Identity()
    network.head = torch.nn.Linear(3, 2)
    images = torch.ones(1, 3, 16, 16, requires_grad=True)
    network(images).sum().backward()
    assert (images.grad != 0).sum((2, 3)).tolist() == [[1, 1, 1]]
