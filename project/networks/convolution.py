"""A 3x3 convolution whose training takes less time on a CPU."""

from typing import Any

import torch
from torch import Tensor, nn

MAX_PIXELS = 49  # of an image, up to which the matrix product is faster: at 7x7 by 1.4, at 3x3 by 2 to 5
PATCH_NUMBERS = 2**24  # in the patches of some images that are in memory at once


class Convolution(nn.Conv2d):
    """A 3x3 convolution with padding and without bias. A matrix product gives its gradient for small images.

    oneDNN computes the gradient of the weights slowly there: for 3x3 pixels in nine times the time of the forward pass
    (torch 2.14, with AMX).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Images [N, C, H, W] to [N, out_channels, H, W]."""
        learns = torch.is_grad_enabled() and self.weight.requires_grad and not torch.compiler.is_compiling()
        if not (learns and images.device.type == "cpu" and images[0, 0].numel() <= MAX_PIXELS):
            return super().forward(images)
        if torch.is_autocast_enabled("cpu"):
            images = images.to(torch.get_autocast_dtype("cpu"))
        outputs: Tensor = _Convolve.apply(images, self.weight)
        return outputs


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor) -> Tensor:
        cast = weight.to(images.dtype)
        ctx.dtype = weight.dtype
        ctx.save_for_backward(images, cast)
        return nn.functional.conv2d(images, cast, padding=1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor]:
        images, weight = ctx.saved_tensors
        of_images = None
        if ctx.needs_input_grad[0]:
            options = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, False, False])
            of_images = torch.ops.aten.convolution_backward(gradient, images, weight, None, *options)[0]
        return of_images, weight_gradient(images, gradient).to(ctx.dtype)


def weight_gradient(images: Tensor, gradient: Tensor) -> Tensor:
    """The gradient [D, C, 3, 3] of the weights from images [N, C, H, W] and that of the outputs [N, D, H, W].

    It is summed over parts of the batch in at least float32. It is channels-last in memory, as the weights are.
    """
    outputs, row = gradient.shape[1], 9 * images.shape[1]
    total = torch.zeros(outputs, row, dtype=torch.promote_types(images.dtype, torch.float32))
    count = max(1, PATCH_NUMBERS // (row * images[0, 0].numel()))
    for some, of_some in zip(torch.split(images, count), torch.split(gradient, count), strict=True):
        padded = nn.functional.pad(some.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
        patches = padded.unfold(1, 3, 1).unfold(2, 3, 1).permute(0, 1, 2, 4, 5, 3)  # [n, H, W, 3, 3, C]
        total += of_some.transpose(0, 1).flatten(1) @ patches.reshape(-1, row)
    return total.view(outputs, 3, 3, -1).permute(0, 3, 1, 2)
