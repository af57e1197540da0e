"""A part of the user's own, or of a library, that fails later than in the trial step."""

from collections.abc import Callable

import pytest
import torch

from project.cli.main import main
from project.training.classifier import Classifier
from tests.cli.own_parts import line
from tests.conftest import CONFIGS

LATE = [
    (["--model.network", "mine.Late"], "--model.network mine.Late: KeyError 'sixth'", "KeyError('sixth')"),
    (["--model.network", "mine.LateInside"], "mine.LateInside: inconsistent tensor size, expected", "@ torch.zeros(4)"),
    (
        ["--trainer.callbacks", "mine.Nag"],
        "--trainer.callbacks mine.Nag: AttributeError 'ExperimentTrainer' object",
        "nagged",
    ),
]


@pytest.mark.parametrize(("options", "expected", "raised"), LATE, ids=[options[1] for options, *_ in LATE])
def test_a_part_of_ones_own_that_fails_later(
    error: Callable[..., str], mine: list[str], options: list[str], expected: str, raised: str
) -> None:
    network = [] if "--model.network" in options else ["--config", str(CONFIGS / "mlp.yaml")]
    failed = error("fit", *network, *mine, *options)
    assert expected in failed
    assert failed.endswith(line(raised))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ["--model.network", "mine.Single", "--model.optimizer", "SparseAdam"],
            "--model.optimizer torch.optim.SparseAdam: SparseAdam does not support dense gradients",
        ),
        (
            [
                "--model.network",
                "mine.Ten",
                "--trainer.callbacks",
                "EarlyStopping",
                "--trainer.callbacks.monitor",
                "nothing",
                "--trainer.callbacks+=mine.Quiet",  # a callback of one's own may log what is watched
            ],
            "lightning.pytorch.callbacks.EarlyStopping: Early stopping conditioned on metric `nothing`",
        ),
    ],
)
def test_a_part_of_a_library_that_fails_later(
    error: Callable[..., str], mine: list[str], options: list[str], expected: str
) -> None:
    assert expected in error("fit", *options, *mine)


def test_what_torch_cannot_do_deterministically(error: Callable[..., str], mine: list[str]) -> None:
    failed = error("fit", "--model.network", "mine.Undetermined", *mine, "--trainer.deterministic", "true")
    assert failed == "--trainer.deterministic true: torch has no deterministic put_ here; give warn in place of true"
    torch.use_deterministic_algorithms(False)


def test_a_memory_that_is_too_small(
    error: Callable[..., str], mine: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Classifier, "training_step", lambda *_: torch.empty(10**15))
    failed = error("fit", "--config", str(CONFIGS / "mlp.yaml"), *mine)
    assert failed.startswith("the memory is too small for 4000000000000000 bytes more (test_late_failures.py, line")
    assert failed.endswith("; give a smaller --data.batch_size, or a smaller network")


def test_an_error_of_our_own_keeps_its_traceback(mine: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Classifier, "_log_epoch")
    with pytest.raises(AttributeError, match="_log_epoch"):
        main(["fit", "--config", str(CONFIGS / "mlp.yaml"), *mine])
