"""Options that stay when another class is chosen are said, and no others."""

from collections.abc import Callable
from pathlib import Path

import pytest

from project.cli.main import main
from tests.cli.test_errors import DIGITS
from tests.cli.test_options import FEW, RUN, losses
from tests.conftest import CONFIGS

RATE = ["--model.optimizer.lr", "0.01"]
DECAY = "--model.optimizer.weight_decay 0.05: given to AdamW, stays for SGD"
CASES = [
    ([*RATE], []),
    (["--model.optimizer", "SGD", *RATE], [DECAY]),
    (["--model.optimizer=torch.optim.SGD", *RATE], [DECAY]),
    (["--model.optimizer", "SGD"], ["--model.optimizer.lr 0.002: given to AdamW, stays for SGD", DECAY]),
    (["--model.optimizer", "{class_path: SGD, init_args: {lr: 0.01}}"], [DECAY]),
    (["--model.optimizer", "SGD", *RATE, "--model.optimizer.init_args.weight_decay", "0.05"], []),
    (["--config", str(CONFIGS / "optimizer/momentum.yaml")], []),  # it sets all that would stay
    (["--config", str(CONFIGS / "data/cifar100.yaml")], []),  # files of configs/ fit each other
    (
        ["--data.batch_size", "16", "--config", str(CONFIGS / "data/image_folder.yaml")],
        ["--data.batch_size 16: given to Digits, stays for ImageFolder"],
    ),
    (["--config", "short.yaml", *RATE], [DECAY]),
    (
        ["--data", "CIFAR10", *RATE],
        ["--data.batch_size 32: given to Digits, stays for CIFAR10", "--data.val_size 180: given to Digits, stays for"],
    ),
    (
        ["--model.lr_scheduler", "WarmupLinear", *RATE],
        ["--model.lr_scheduler.warmup 0.2: given to OneCycle, stays for W"],
    ),
]


@pytest.mark.parametrize(("options", "expected"), CASES, ids=[" ".join(options) for options, _ in CASES])
def test_what_stays_of_another_class(
    capsys: pytest.CaptureFixture[str], options: list[str], expected: list[str]
) -> None:
    Path("short.yaml").write_text("model: {optimizer: SGD}")
    with pytest.raises(SystemExit):
        main(["fit", *DIGITS, *options, "--trainer.max_epochs", "0"])
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(expected)
    for line, start in zip(said, expected, strict=True):
        assert line.startswith(start)


def test_momentum_is_used_as_it_is_given(digits: Callable[..., list[str]]) -> None:
    for momentum in ("0.9", "0.5"):
        sgd = ["--model.optimizer", "SGD", *RATE, "--model.optimizer.momentum", momentum]
        main(["fit", *digits(), *FEW, *sgd])
    assert losses(RUN) != losses(RUN.with_name("version_1"))
