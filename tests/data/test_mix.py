"""Mixup and CutMix against torchvision's own and plain torch, and the figures of mixed labels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from project.cli.main import main
from project.data.augmentation import Augmentation
from project.data.batches import TrainingBatches
from project.data.images import ImagesInMemory
from project.data.mix import BatchMix, Mix
from project.data.normalisation import Normalisation
from project.training.classifier import Classifier
from project.training.mean_loss import MeanLoss, image_weights
from tests.cli.test_errors import QUICK

COUNT, CLASSES = 12, 4
LABELS = torch.arange(COUNT) % CLASSES
ONE_HOT = nn.functional.one_hot(LABELS, CLASSES).float()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(COUNT, 9, 8, 3, generator=torch.Generator().manual_seed(0)).permute(0, 3, 1, 2)


def mixed(images: Tensor, seed: int = 0, **options: Any) -> tuple[Tensor, Tensor]:
    return BatchMix(Mix(**options), CLASSES, COUNT).apply(images, LABELS, seed)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_a_batch_is_torchvisions(images: Tensor, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []
    with monkeypatch.context() as patched:
        patched.setattr("torch.default_generator", Recorded(seeds))
        found, shares = mixed(images, **{name: 0.7})
    with torch.random.fork_rng():
        torch.manual_seed(seeds[0])
        kind = {"mixup": v2.MixUp, "cutmix": v2.CutMix}[name]
        expected, expected_shares = kind(alpha=0.7, num_classes=CLASSES)(images, LABELS)
    assert torch.equal(found, expected)
    assert torch.equal(shares, expected_shares)
    assert found.is_contiguous(memory_format=torch.channels_last)


class Recorded:
    def __init__(self, seeds: list[int]) -> None:
        self.seeds = seeds

    def manual_seed(self, seed: int) -> None:
        self.seeds.append(seed)
        torch.random.default_generator.manual_seed(seed)


@pytest.mark.parametrize("options", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1.0}], ids=str)
def test_a_choice_for_each_image(images: Tensor, options: dict[str, float]) -> None:
    """Each image is a mean of itself and the one before, or has its rectangle, in the shares of its labels."""
    found, shares = mixed(images, each="image", **options)
    own = shares.gather(1, LABELS[:, None])[:, 0]
    assert torch.allclose(shares, own[:, None] * ONE_HOT + (1 - own[:, None]) * ONE_HOT.roll(1, 0), atol=1e-6)
    assert len(set(own.tolist())) > COUNT / 2
    kinds = set()
    for place, share in enumerate(own.tolist()):
        image, other = images[place], images[place - 1]
        pasted = (found[place] == other).all(0)
        if torch.allclose(found[place], share * image + (1 - share) * other, atol=1e-6):
            kinds.add("mixup")
        else:
            rows, columns = pasted.any(1), pasted.any(0)
            assert torch.equal(pasted, rows[:, None] & columns)
            assert torch.equal(found[place][:, ~pasted], image[:, ~pasted])
            assert pasted.float().mean().item() == pytest.approx(1 - share, abs=1e-6)
            kinds.add("cutmix")
    assert kinds == set(options)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_rectangles_have_torchvisions_distribution(images: Tensor) -> None:
    many = BatchMix(Mix(cutmix=1.0, each="image"), CLASSES, 4000)
    labels = torch.arange(4000) % CLASSES
    _, shares = many.apply(torch.zeros(4000, 1, 8, 8), labels, 0)
    ours = shares.gather(1, labels[:, None])
    theirs = v2.CutMix(alpha=1.0, num_classes=CLASSES)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = torch.tensor([theirs.make_params([torch.zeros(1, 8, 8)])["lam_adjusted"] for _ in range(2000)])
    error = expected.std().item() * (1 / 2000 + 1 / 4000) ** 0.5
    assert ours.mean().item() == pytest.approx(expected.mean().item(), abs=4 * error)
    assert ours.std().item() == pytest.approx(expected.std().item(), rel=0.05)


@pytest.mark.parametrize("each", ["batch", "image"])
def test_probability(images: Tensor, each: str) -> None:
    found = [mixed(images, seed, mixup=1.0, probability=0.3, each=each) for seed in range(100)]
    shares = torch.stack([labels for _, labels in found])
    assert shares.dtype == torch.float32
    unmixed = (shares == ONE_HOT).all(2)
    assert unmixed.float().mean().item() == pytest.approx(0.7, abs=0.12)
    if each == "batch":
        assert set(unmixed.sum(1).tolist()) == {0, COUNT}
    for pixels, labels in found:
        same = (labels == ONE_HOT).all(1)
        assert torch.equal(pixels[same], images[same])


def batches(first: int = 0, mix: Mix | None = None, epoch: int = 2, rank: int = 0) -> list[tuple[Tensor, ...]]:
    """Images, labels and what dropout draws."""
    pixels = torch.randint(0, 256, (50, 4, 4, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = ImagesInMemory(pixels, torch.arange(50) % CLASSES)
    normalise = Normalisation((0.5,) * 3, (0.5,) * 3, torch.device("cpu"))
    batch_mix = mix and BatchMix(mix, CLASSES, 5)
    found = TrainingBatches(
        images, normalise, 5, Augmentation(), 0, lambda: (epoch, first, 9, 90), rank, 2, None, batch_mix
    )
    return [(*batch, torch.rand(3)) for batch in found]


@pytest.mark.parametrize("each", ["batch", "image"])
def test_a_batch_is_a_function_of_seed_epoch_and_batch(each: Any) -> None:
    mix = Mix(mixup=0.5, cutmix=1.0, each=each)
    whole, plain = batches(mix=mix), batches()
    for ours, theirs in zip(batches(2, mix), whole[2:], strict=True):
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))
    assert all(torch.equal(one[2], other[2]) for one, other in zip(whole, plain, strict=True))  # dropout's
    several = (whole, batches(mix=mix, epoch=3), batches(mix=mix, rank=1))
    shares = {round(labels.max(1).values.min().item(), 5) for found in several for _, labels, _ in found}
    assert len(shares - {1.0}) > 5
    assert not torch.equal(several[0][0][1], several[1][0][1])


@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 2.0, 0.5, 3.0])], ids=["plain", "class weights"])
def test_the_loss_of_an_epoch_with_mixed_labels(weight: Tensor | None) -> None:
    """Over batches of several sizes it is plain torch's over all images."""
    loss = nn.CrossEntropyLoss(weight, label_smoothing=0.1)
    generator = torch.Generator().manual_seed(0)
    logits, labels = (
        torch.randn(30, CLASSES, generator=generator),
        torch.rand(30, CLASSES, generator=generator).softmax(1),
    )
    metric = MeanLoss()
    for part, targets in zip(logits.split(8), labels.split(8), strict=True):
        metric.update(loss(part, targets), image_weights(loss, targets))
    assert metric.compute().item() == pytest.approx(loss(logits, labels).item(), rel=1e-5)


def test_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training accuracy is that for the class with the largest share; validation gets whole labels."""
    correct: list[Tensor] = []
    original = Classifier.logits_and_losses

    def losses(self: Classifier, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        logits, *losses = original(self, images, labels)
        assert labels.shape == ((len(images), 10) if self.training else (len(images),))
        if self.training:
            correct.append(logits.argmax(1) == labels.argmax(1))
        return logits, *losses

    monkeypatch.setattr(Classifier, "logits_and_losses", losses)
    weights = ["--model.loss.weight", "[1, 2, 1, 1, 1, 1, 1, 1, 1, 1]"]
    result = main(["fit", *QUICK, *weights, "--data.mix", "{mixup: 0.4, cutmix: 1.0, each: image}"])
    assert result is not None
    (accuracy,) = (row["train/accuracy"] for row in result.metrics() if "train/accuracy" in row)
    assert accuracy == pytest.approx(torch.cat(correct).float().mean().item(), abs=1e-4)
    assert result.directory is not None
    assert "cutmix: 1.0" in (result.directory / "config.yaml").read_text()


LINES = [
    (["--data.mix", "{}"], "--data.mix: mixes nothing; give mixup or cutmix, as in '{mixup: 0.2}'"),
    (["--data.mix", "{mixup: 0}"], "--data.mix.mixup 0.0: give a number above 0"),
    (["--data.mix", "{cutmix: 1, probability: 1.5}"], "--data.mix.probability 1.5: give a number above 0, at most 1"),
    (["--data.mix", "{mixup: 1}", "--data.batch_size", "1"], "--data.batch_size 1: --data.mix mixes the images of a"),
    (["--data.mix", "{mixup: 1}", "--model.loss", "MultiMarginLoss"], "--model.loss torch.nn.MultiMarginLoss: "),
    (["--data.mix", "{mixpu: 1}"], "--data.mix.mixpu: Digits has no such option; did you mean mix?"),
    (
        ["--data.mix", "mixup"],
        "--data.mix mixup: expected a mapping, as in '{mixup: ...}', with some of mixup, cutmix, probability, each",
    ),
]


@pytest.mark.parametrize(("options", "line"), LINES, ids=[" ".join(options) for options, _ in LINES])
def test_lines(error: Callable[..., str], options: list[str], line: str) -> None:
    printed = error("fit", *QUICK, *options)
    assert printed.startswith(line)
    assert not list(Path().glob("lightning_logs/*/*"))
    if "MultiMarginLoss" in options:
        assert "labels [3, 10] of --data.mix; give CrossEntropyLoss, or leave the mix out" in printed
