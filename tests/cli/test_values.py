"""Values that the parser would let pass: not finite, out of range, null, the run's own, or YAML that nobody means."""

from collections.abc import Callable
from pathlib import Path

import pytest

from project.cli.main import main
from project.cli.values import RANGES, Range
from tests.cli.test_errors import QUICK

CASES = [
    (["--model.optimizer.lr", ".nan"], "--model.optimizer.lr .nan: give a finite number"),
    (["--model.optimizer.lr", "1e400"], "--model.optimizer.lr 1e400: give a finite number"),
    (["--model.optimizer.lr", "0"], "--model.optimizer.lr 0: give a number above 0"),
    (["--model.optimizer.betas", "[0.9, -.inf]"], "--model.optimizer.betas [0.9, -.inf]: give a finite number"),
    (["--trainer.max_epochs", "null"], "--trainer.max_epochs null: a run needs a length; give it, or --trainer.max_st"),
    (["--data.curriculum", "{16: .nan}"], "--data.curriculum {16: .nan}: give a finite number"),
    (["--model.optimizer.lr=0.5", "--model.optimizer.weight_decay=2"], "at --model.optimizer.lr 0.5 a step takes 1 of"),
    (["--model.optimizer.weight_decay", "1e9"], "--model.optimizer.weight_decay 1e9: at --model.optimizer.lr 0.002 a"),
    (["--trainer.max_epochs", "12345678901234567890"], "--trainer.max_epochs 12345678901234567890: give at most 92233"),
    (["--trainer.num_nodes", "12345678901234567890"], "12345678901234567890: give a number from 1 to 65536"),
    (["--trainer.devices", "100000"], "--trainer.devices 100000: give a number of at most"),
    (
        ["--model.network.hidden", "null"],
        "--model.network.hidden null: MLP needs a value; give one, or leave it out fo",
    ),
    (["--data.batch_size", "null"], "--data.batch_size null: Digits needs a value; give one, or leave it out for 250"),
    (
        ["--model.optimizer.lr", "null"],
        "--model.optimizer.lr null: AdamW needs a value; give one, or leave it out for 0",
    ),
    (["--model.network.num_classes", "3"], "--model.network.num_classes 3: the run gives it to MLP; leave it out"),
    (["--model.network.image_shape", "[3, 8, 8]"], "--model.network.image_shape [3, 8, 8]: the run gives it to MLP;"),
    (
        ["--trainer.callbacks+=EMAWeightAveraging", "--trainer.callbacks.decay=.nan"],
        "--trainer.callbacks.decay .nan: g",
    ),
    (["--ckpt_path", "http://127.0.0.1:9/x.ckpt"], "--ckpt_path http://127.0.0.1:9/x.ckpt: an address in a network;"),
    (["--trainer.default_root_dir", "s3://a/b"], "--trainer.default_root_dir s3://a/b: an address in a network; fetch"),
    (["--ckpt_path", ""], "--ckpt_path '': give a value, or leave it out"),
    (
        ["--trainer.callbacks", "Timer", "--trainer.callbacks", "ModelSummary"],
        "--trainer.callbacks+=ModelSummary keeps b",
    ),
    (["--data.curriculum", "{16:0.5}"], "--data.curriculum {16:0.5}: 16:0.5 in line 1 needs a space after its colon"),
    (["--data.curriculum={16: 0.5, 16: 1}"], "--data.curriculum {16: 0.5, 16: 1}: 16 stands twice, in lines 1 and 1;"),
]


@pytest.mark.parametrize(("options", "expected"), CASES, ids=[" ".join(options) for options, _ in CASES])
def test_value(error: Callable[..., str], options: list[str], expected: str) -> None:
    assert expected in error("fit", *QUICK, *options)
    assert not list(Path().glob("lightning_logs/*/*"))


OF_OTHER_CLASSES = {
    "model.optimizer.momentum": ["--model.optimizer=SGD"],
    "model.optimizer.dampening": ["--model.optimizer=SGD"],
    "trainer.callbacks.patience": ["--trainer.callbacks=EarlyStopping", "--trainer.callbacks.monitor=val/loss"],
}


@pytest.mark.parametrize("name", RANGES)
def test_ends_of_a_range(error: Callable[..., str], name: str) -> None:
    """What lies just outside is refused; what lies just inside is not."""
    low, high, above = RANGES[name]
    outside, inside = (low - (not above), low + above) if low >= -1 else (high + 1, high)
    line = error("fit", *QUICK, *OF_OTHER_CLASSES.get(name, []), f"--{name}={outside:.0f}")
    assert line == f"--{name} {outside:.0f}: give a number {RANGES[name]}"
    assert inside in RANGES[name]


def test_words_of_a_range() -> None:
    assert [str(Range(1)), str(Range(0, above=True)), str(Range(0, 1))] == ["of at least 1", "above 0", "from 0 to 1"]
    assert [str(Range(high=2)), str(Range(0, 1, above=True))] == ["of at most 2", "above 0, at most 1"]


TWICE = """trainer:
  max_epochs: 1
  logger: false
  max_epochs: 2
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TWICE, "max_epochs stands twice, in lines 2 and 4; leave one out"),
        ("seed_everything: 1\nseed_everything: 1", "seed_everything stands twice, in lines 1 and 2; leave one out"),
        (
            "trainer:\n  callbacks:\n  - {class_path: Timer, class_path: Timer}",
            "class_path stands twice, in lines 3 an",
        ),
        (
            "data:\n  init_args:\n    curriculum: {16:0.5}",
            "16:0.5 in line 3 needs a space after its colon, as in {16: ",
        ),
        ("trainer:\n  num_nodes: null", "--trainer.num_nodes null: expected a whole number"),
    ],
)
def test_config_file(error: Callable[..., str], text: str, expected: str) -> None:
    Path("broken.yaml").write_text(text)
    assert expected in error("fit", *QUICK, "--config", "broken.yaml")


def test_file_of_one_option(error: Callable[..., str]) -> None:
    Path("network.yaml").write_text("class_path: MLP\ninit_args:\n  hidden: [8]\n  hidden: [9]\n")
    line = error("fit", *QUICK, "--model.network", "network.yaml")
    assert line == "--model.network network.yaml: hidden stands twice, in lines 3 and 4; leave one out"


FILES = {
    "first.yaml": "trainer: {callbacks: [{class_path: lightning.pytorch.callbacks.Timer}]}",
    "second.yaml": "trainer: {callbacks: {class_path: ModelSummary}}",
    "added.yaml": "trainer: {callbacks+: {class_path: ModelSummary}}",
}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ["--config=second.yaml"],
            "--trainer.callbacks ModelSummary: takes the place of Timer in first.yaml; "
            "callbacks+ in place of callbacks in second.yaml keeps both\n",
        ),
        (
            ["--trainer.callbacks", "ModelSummary"],
            "--trainer.callbacks ModelSummary: takes the place of Timer in first.yaml; "
            "--trainer.callbacks+=ModelSummary keeps both\n",
        ),
        (["--config=added.yaml"], ""),
        (["--trainer.callbacks+=ModelSummary"], ""),
        (["--trainer.callbacks=null"], ""),
    ],
)
def test_callbacks_that_take_the_place_of_others(
    capsys: pytest.CaptureFixture[str], options: list[str], expected: str
) -> None:
    for name, text in FILES.items():
        Path(name).write_text(text)
    with pytest.raises(SystemExit):
        main(["fit", *QUICK, "--config", "first.yaml", *options, "--ckpt_path", "none.ckpt"])
    assert capsys.readouterr().out == expected


def test_what_is_allowed(digits: Callable[..., list[str]]) -> None:
    """null where a class takes it, a whole float, the largest of a range."""
    options = ["--data.val_size=null", "--model.optimizer.foreach=null", "--model.lr_scheduler=null"]
    options += ["--trainer.limit_train_batches=1e1", "--trainer.log_every_n_steps=0", "--model.loss.label_smoothing=1"]
    main(["fit", *digits(), "--trainer.fast_dev_run=1", *options])
