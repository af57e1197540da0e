"""Parts of a user's own, each with a fault, for tests."""


def line(text: str) -> str:
    """Where it stands in mine.py."""
    return f"(mine.py, line {1 + OWN[: OWN.index(text)].count(chr(10))})"


OWN = """
import torch
from lightning.pytorch import Callback
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR

class Strict(nn.Module):
    def __init__(self, width: int):
        raise ValueError("too wide")

class Seven(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3072, 7)

    def forward(self, images):
        return self.layer(images.flatten(1))

class Narrow(Seven):
    def forward(self, images):
        return nn.functional.linear(images.flatten(1), torch.zeros(10, 5))

class Pair(Seven):
    def forward(self, images):
        return images, images

class View(Seven):
    def forward(self, images):
        return self.layer(images.view(len(images), -1))

class Ten(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.layer = nn.Linear(3072, num_classes)

    def forward(self, images):
        return self.layer(images.flatten(1))

class Softmax(Ten):
    def forward(self, images):
        return super().forward(images).softmax(1)

class SoftmaxInEvaluation(Ten):
    def forward(self, images):
        return super().forward(images) if self.training else super().forward(images).softmax(1)

class Sigmoid(Ten):
    def forward(self, images):
        return super().forward(images).sigmoid()

class LogSoftmax(Ten):
    def forward(self, images):
        return super().forward(images).log_softmax(1)

class Detached(Ten):
    def forward(self, images):
        return super().forward(images).detach()

class InTraining(Ten):
    def forward(self, images):
        if self.training:
            raise KeyError("mask")
        return super().forward(images)

class Overwritten(Ten):
    def forward(self, images):
        return super().forward(images).exp_().relu_().sub_(1)

class PairInTraining(Ten):
    def forward(self, images):
        return (super().forward(images),) * 2 if self.training else super().forward(images)

class Stepless(torch.optim.SGD):
    def step(self, closure):
        assert closure() > 0
        raise NotImplementedError

class Numb(nn.CrossEntropyLoss):
    def forward(self, logits, labels):
        return super().forward(logits.detach(), labels)

class Crooked(torch.optim.lr_scheduler.LRScheduler):
    def __init__(self, optimizer, total_steps):
        super().__init__(optimizer)

    def get_lr(self):
        return [0.1 / (1 - self.last_epoch) for group in self.optimizer.param_groups]

class Late(Ten):
    steps = 0

    def forward(self, images):
        self.steps += self.training
        if self.steps > 5:
            raise KeyError('sixth')
        return super().forward(images)

class Undetermined(Late):
    def forward(self, images):
        self.steps += self.training
        if self.steps > 5:
            torch.zeros(1).put_(torch.tensor([0]), torch.ones(1))
        return Ten.forward(self, images)

class Inside(nn.Module):
    def forward(self, logits, step):
        return torch.zeros(3) @ torch.zeros(4) if step > 5 else logits

class LateInside(Late):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.inside = Inside()

    def forward(self, images):
        self.steps += self.training
        return self.inside(Ten.forward(self, images), self.steps)

class Quiet(Callback):
    pass

class Nag(Callback):
    def on_train_batch_end(self, trainer, *rest):
        trainer.nagged()

class Volume(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.convolution = nn.Conv3d(3, 8, (1, 3, 3), stride=(1, 2, 2))
        self.layer = nn.LazyLinear(num_classes)

    def forward(self, images):
        return self.layer(self.convolution(images[:, :, None]).relu().flatten(1))

class Single(Ten):
    def __deepcopy__(self, memo):
        raise RuntimeError

class Fading(ExponentialLR):
    pass

class Lonely(ExponentialLR):
    def __init__(self, optimizer):
        super().__init__(optimizer, 0.9)

def reduce(logits, labels):
    return logits.mean()
"""


OTHERS = {"needs.py": "import nothing_like_it", "spoiled.py": "class Network:\ndef"}
