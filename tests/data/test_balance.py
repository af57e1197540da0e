"""Epochs with equal shares of all classes, and class weights, against scikit-learn's."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torchvision.transforms import v2

from project.checkpoints.files import read
from project.cli.main import main
from project.data import Digits
from project.data.augmentation import Augmentation
from project.data.balance import class_weights, draw_by_class
from project.data.batches import TrainingBatches
from project.data.images import ImagesInMemory
from project.data.normalisation import Normalisation
from project.data.transforms import Transforms
from tests.cli.test_errors import QUICK

LABELS = torch.tensor([0] * 31 + [1] * 8 + [2])
BATCH_SIZE = 6
TRANSFORMS = Transforms([v2.RandomCrop(8, 2), v2.TrivialAugmentWide()], (3, 8, 8))


def test_equal_shares() -> None:
    found = [draw_by_class(LABELS, seed, epoch) for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))]
    assert torch.equal(found[0], found[1])
    assert len({tuple(sorted(places.tolist())) for places in found}) == 3
    for places in found:
        assert sorted(LABELS[places].bincount().tolist()) == [13, 13, 14]
        for label in range(3):
            times = places.bincount(minlength=40)[label == LABELS]
            assert times.max() - times.min() <= 1
    more = torch.cat([draw_by_class(LABELS, 0, epoch) for epoch in range(30)]).bincount()
    assert more[:31].min() > 0  # each epoch has other images of the large class


def test_weights_are_scikit_learns() -> None:
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS.numpy())
    assert class_weights(LABELS.bincount().tolist()).tolist() == pytest.approx(expected)


def batches(first: int = 0, rank: int = 0, world_size: int = 1) -> list[tuple[Tensor, Tensor]]:
    """Each image has its place as the level of all pixels."""
    pixels = torch.arange(40, dtype=torch.uint8)[:, None, None, None].expand(40, 8, 8, 3) + 100
    images = ImagesInMemory(pixels.contiguous(), LABELS)
    normalise = Normalisation((0.5,) * 3, (0.5,) * 3, torch.device("cpu"))
    options = (BATCH_SIZE, Augmentation(cutout=3), 0, lambda: (2, first, 9, 90))
    return list(TrainingBatches(images, normalise, *options, rank, world_size, TRANSFORMS, balanced=True))


def test_batches() -> None:
    whole = batches()
    assert len(whole) == 40 // BATCH_SIZE
    for ours, theirs in zip(whole[4:], batches(4), strict=True):
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    images, labels = (torch.cat(parts) for parts in zip(*whole, strict=True))
    assert labels.bincount().min() >= 9  # the 36 of 40 that fill batches
    of_one = images[labels == 2]
    assert len({bytes(image.numpy()) for image in of_one}) > len(of_one) / 2
    views = {bytes(image.numpy()) for rank in range(2) for part, _ in batches(0, rank, 2) for image in part}
    assert len(views & {bytes(image.numpy()) for image in images}) >= 30  # processes share the epoch


def test_weights_in_a_run() -> None:
    """They are those of a loss with these weights, also in validation and test, and in none of the checkpoints."""
    words = [*QUICK, "--data.mix", "{mixup: 0.2, probability: 0.5}", "--trainer.max_steps", "3", "--pictures", "false"]
    digits = Digits(val_size=100)
    digits.setup("test")
    labels = digits.train.labels.numpy()
    weights = compute_class_weight("balanced", classes=np.arange(10), y=labels).astype(np.float32).tolist()
    words += ["--data.val_size", "100"]
    balanced = main(["fit", *words, "--data.balance", "weights"])
    plain = main(["fit", *words, "--model.loss.weight", str(weights)])
    names = [name for name in plain.figures if name.startswith(("val/", "test/")) and "/" in name]
    assert [balanced.figures[name] for name in names] == [plain.figures[name] for name in names]
    assert balanced.directory is not None
    path = balanced.directory / "checkpoints/last.ckpt"
    assert not any(name.startswith("loss.") for name in read(path)["state_dict"])
    assert main(["test", "--ckpt_path", str(path)]).figures["test/loss"] == plain.figures["test/loss"]


OWN = """
from torch import nn

class OwnLoss(nn.CrossEntropyLoss):
    def __init__(self):
        nn.Module.__init__(self)

    def forward(self, logits, labels):
        return nn.functional.cross_entropy(logits, labels)
"""
WEIGHTS = ["--data.balance", "weights"]
LINES = [
    (["--data.balance", "most"], "--data.balance most: expected one of 'none', 'oversample', 'weights'"),
    (
        [*WEIGHTS, "--model.loss", "own_loss.OwnLoss"],
        "--model.loss own_loss.OwnLoss: takes no weight of each class, which --data.balance weights gives; give Cross",
    ),
    (
        [*WEIGHTS, "--model.loss.weight", str([1] * 10)],
        "--model.loss torch.nn.CrossEntropyLoss: has a weight of its own, and --data.balance weights gives another",
    ),
    (
        [*WEIGHTS, "--model.loss", "MultiMarginLoss", "--data.mix", "{mixup: 1}"],
        "it gets class weights and labels [3, 10]; give CrossEntropyLoss, or leave --data.balance weights out",
    ),
]


@pytest.mark.parametrize(("options", "line"), LINES, ids=[" ".join(options) for options, _ in LINES])
def test_lines(error: Callable[..., str], options: list[str], line: str) -> None:
    Path("own_loss.py").write_text(OWN)
    assert line in error("fit", *QUICK, *options)
    assert not list(Path().glob("lightning_logs/*/*"))


def test_a_class_without_training_images(error: Callable[..., str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    np.savez("arrays.npz", images=pixels, labels=np.arange(30) % 2, class_names=["cat", "dog", "cow"])
    words = ["--data", "Arrays", "--data.file", "arrays.npz", "--data.batch_size", "5", "--data.val_size", "3"]
    line = error("fit", *QUICK, *words, "--data.balance", "oversample")
    expected = "--data.balance oversample: class cow has no training images; leave it out by --data.classes"
    assert line.startswith(expected)
