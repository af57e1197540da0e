"""How long a run is: what a curriculum and a schedule make of it, and a resumed run that would be too short."""

from collections.abc import Callable

import pytest
import torch

from project.classifier import Classifier
from project.cli import main

BATCHES = 1257 // 200


class Stopped(BaseException):
    """What ends a run before its time; an Exception would be an error of a part of the user's own."""


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """The images' side in each batch of a fit; which may be stopped in the batch after so many."""

    def of_fit(words: list[str], stop: int | None = None) -> list[int]:
        seen: list[int] = []
        original = Classifier.training_step

        def training_step(self: Classifier, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
            if len(seen) == stop:
                raise Stopped
            seen.append(batch[0].shape[-1])
            return original(self, batch, batch_idx)

        with monkeypatch.context() as patched:
            patched.setattr(Classifier, "training_step", training_step)
            try:
                main(["fit", *words])
            except Stopped:
                assert stop is not None
        return seen

    return of_fit


@pytest.fixture
def small(digits: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """The words of a fit of six batches an epoch on a network that takes images of any size."""

    def words(epochs: int, end: float) -> list[str]:
        network = ["--model.network.widths", "[4, 4, 4]", "--data.curriculum", f"{{16: {end}}}"]
        unmeasured = ["--trainer.limit_val_batches", "0", "--trainer.limit_test_batches", "0"]
        return [*digits("speed", epochs), "--data.batch_size", "200", *network, *unmeasured]

    return words


LENGTHS = {
    "whole epochs": (2, 0.5, [], [6, 6]),
    "batches": (2, 0.75, ["--trainer.limit_train_batches", "4"], [6, 2]),
    "a fraction of the batches": (3, 0.34, ["--trainer.limit_train_batches", "0.5"], [4, 5]),
    # Steps of 4 and 2 batches.
    "accumulation": (2, 0.5, ["--trainer.accumulate_grad_batches", "4"], [6, 6]),
    "accumulation and steps": (9, 0.5, ["--trainer.accumulate_grad_batches", "4", "--trainer.max_steps", "5"], [8, 8]),
    "steps": (9, 0.5, ["--trainer.max_steps", "8"], [4, 4]),
    "steps alone": (-1, 0.5, ["--trainer.max_steps", "3", "--trainer.accumulate_grad_batches", "4"], [5, 5]),
}


@pytest.mark.parametrize(("epochs", "end", "options", "expected"), LENGTHS.values(), ids=LENGTHS)
def test_a_curriculum_follows_the_run(
    small: Callable[..., list[str]],
    sides: Callable[..., list[int]],
    epochs: int,
    end: float,
    options: list[str],
    expected: list[int],
) -> None:
    shrunk, whole = expected
    assert sides([*small(epochs, end), *options]) == [16] * shrunk + [32] * whole


def test_a_resumed_curriculum(small: Callable[..., list[str]], sides: Callable[..., list[int]]) -> None:
    """Stopped in the last of 12 batches, whose steps have 4 and 2, a run goes on after the tenth.

    So does a longer one of shorter epochs, which has 10 + 1 + 5 batches.
    """
    words = [*small(2, 0.9), "--trainer.accumulate_grad_batches", "4", "--checkpoints.every_n_steps", "1"]
    resumed = [*words, "--ckpt_path", "lightning_logs/speed/version_0/checkpoints/last.ckpt"]
    assert sides(words, stop=11) == [16] * 11
    assert sides([*resumed, "--trainer.max_epochs", "3", "--trainer.limit_train_batches", "5"]) == [16] * 5 + [32]
    assert sides(resumed) == [16, 32]
