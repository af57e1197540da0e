"""Each mistake of the user ends in one line, with exit code 2, and nothing is left behind."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from project.cli.messages import user_message
from project.system.errors import UserError

CONFIGS = Path(__file__).parents[2] / "configs"
DIGITS = ["--config", str(CONFIGS / "mlp.yaml"), "--config", str(CONFIGS / "data/digits.yaml")]
QUICK = [*DIGITS, "--data.batch_size", "100", "--trainer.max_epochs", "1"]


CASES = [
    (["--trainer.max_epoch", "3"], "--trainer.max_epoch: no such option; did you mean --trainer.max_epochs?"),
    (["--model.network.hiden", "[3]"], "--model.network.hiden: MLP has no such option; did you mean hidden?"),
    (["--data.batch_sizee", "3"], "--data.batch_sizee: Digits has no such option; did you mean batch_size?"),
    (["--model.network", "ConvNt"], "--model.network ConvNt: no such class; did you mean ConvNet?"),
    (
        ["--model.network", "project.networks.ConvNt"],
        "ConvNt: project.networks has no such class; did you mean ConvNet?",
    ),
    (
        ["--model.network", "resnet18"],
        "resnet18: no such class; torchvision's is TorchvisionModel with --model.network.name",
    ),
    (["--model.network", "mine.ConvNet"], "mine.ConvNet: Python finds no module mine; put it into the current folder"),
    (
        ["--model.network", "mine.py:ConvNet"],
        "mine.py:ConvNet: give module and class with a dot between them, as in mine",
    ),
    (
        ["--model.network", "./own/mine.py"],
        "./own/mine.py: give module and class with a dot between them, as in own.mi",
    ),
    (["--model.network", "/home/me/mine.py:Net"], "/home/me/mine.py:Net: give module and class with a dot between t"),
    (["--data.batch_size", "mine.py"], "--data.batch_size mine.py: expected a whole number"),
    (["--lr", "0.1"], "--lr: no such option; did you mean --model.optimizer.lr?"),
    (["--trainer.gpus", "1"], "--trainer.gpus: no such option; did you mean --trainer.devices?"),
    (["--epochs", "3"], "--epochs: no such option; did you mean --trainer.max_epochs?"),
    (["--trainer.batch_size", "3"], "--trainer.batch_size: no such option; did you mean --data.batch_size?"),
    (["--model.optimizer", "sgd"], "--model.optimizer sgd: no such class; did you mean SGD?"),
    (["--model.optimizer", "best"], "--model.optimizer best: no such class; give one of ASGD, Adadelta,"),
    (["--trainer.callbacks", "earlystopping"], "earlystopping: no such class; did you mean EarlyStopping?"),
    (
        ["--model.optimizer.momentum", "0.9"],
        "--model.optimizer.momentum: AdamW has no such option (MuonSGD, Muon, RMSprop, SGD have it); "
        "--model.optimizer.help AdamW shows what it has",
    ),
    (
        ["--trainer.callbacks", "[EarlyStopping, LearningRateMonitor]"],
        "--trainer.callbacks EarlyStopping: needs --trainer.callbacks.monitor, given after it",
    ),
    (["--model.optimizer.lr", "nan"], "--model.optimizer.lr nan: expected a number"),
    (["--model.optimizer.lr", ""], "--model.optimizer.lr '': expected a number"),
    (["--model.optimizer.betas", "[0.9, much]"], "--model.optimizer.betas [0.9, much]: expected a number"),
    (["--data.batch_size", "1e2"], "--data.batch_size 1e2: expected a whole number, as in 100"),
    (["--data.batch_size", "two\nlines"], r"--data.batch_size 'two\nlines': expected a whole number"),
    (["--data.curriculum", "{a: 1}"], "--data.curriculum {a: 1}: expected a whole number in place of 'a'"),
    (["--trainer.logger", "-1"], "--trainer.logger -1: no such class; give one of CSVLogger,"),
    (["--data", "Digit"], "--data Digit: no such class; did you mean Digits?"),
    (["--model.optimizer", "torch.optim.SDG"], "SDG: torch.optim has no such class; did you mean SGD?"),
    (["--model.optimizer", "SGD", "--model.optimizer.lrr", "1"], "--model.optimizer.lrr: SGD has no such option"),
    (["--data.batch_size", "3.5"], "--data.batch_size 3.5: expected a whole number"),
    (["--data.flip", "maybe"], "--data.flip maybe: expected one of 'none', 'random', 'alternating'"),
    (["--data.batch_size", "0"], "--data.batch_size 0: give a whole number from 1 to 1257"),
    (["--data.val_size", "1437"], "--data.val_size 1437: give a whole number from 0 to 1436"),
    (["--data.val_size", "-1"], "--data.val_size -1: give a whole number from 0 to 1436"),
    (["--data.shift", "32"], "--data.shift 32: give a whole number from 0 to 31"),
    (["--data.curriculum", "{40: 0.5}"], "--data.curriculum {40: 0.5}: give sides of 1 to 31 pixels"),
    (["--data.curriculum", "{24: 2}"], "each with the fraction of the run at which it ends, above 0 to 1"),
    (["--model.test_views", "all"], "--model.test_views all: expected one of 'plain', 'mirror', 'mirror_shift'"),
    (["--model.optimizer.lr", "-0.1"], "--model.optimizer.lr -0.1: give a number above 0"),
    (["--model.lr_scheduler.warmup", "2"], "the schedule's warmup 2.0 must be at least 0 and below 1"),
    (["--model.loss.label_smoothing", "2"], "--model.loss.label_smoothing 2: give a number from 0 to 1"),
    (["--seed_everything", "-3"], "--seed_everything -3: give a number from 0 to 4294967295"),
    (["--seed_everything", "true"], "--seed_everything true: expected a whole number"),
    (["--threads", "0"], "--threads 0: give a number from 1 to 1024"),
    (["--threads", "all"], "--threads all: expected a whole number"),
    (["--data.seed", "5"], "--data.seed 5: data and weights have one seed; give --seed_everything instead"),
    (["--model.network", "MLP"], "--model.network MLP: Give the full class path"),
    (["--trainer.precision", "bf17"], "--trainer.precision bf17: expected one of 'auto', '32-true'"),
    (["--checkpoints.every_n_steps", "0"], "--checkpoints.every_n_steps 0: give a number above 0"),
    (["--checkpoints.every_n_minutes", "-1"], "--checkpoints.every_n_minutes -1.0: give a number above 0"),
    (["--checkpoints.keep", "0"], "--checkpoints.keep 0: give a number above 0"),
    (["--checkpoints.mode", "least"], "--checkpoints.mode least: expected one of 'min', 'max'"),
    (
        ["--checkpoints.monitor", "val/los"],
        "--checkpoints.monitor val/los: no validation measures it; give val/loss, or one of val/",
    ),
    (["--checkpoints.monitor", "test/loss"], "test/loss: no validation measures it; give val/loss, or one of val/"),
    (["--checkpoints.monitor", "train/accuracy"], "no validation measures it; give val/accuracy, or one of val/"),
    (
        ["--checkpoints.monitor", "val/loss", "--data.val_size", "0"],
        "--checkpoints.monitor val/loss: nothing is validated; give --data.val_size, or leave this out",
    ),
    (
        ["--checkpoints.keep", "2", "--trainer.limit_val_batches", "0"],
        "--checkpoints.keep 2: nothing is validated; give --data.val_size, or leave this out",
    ),
    (["--model.lr_scheduler", "Plateau", "--model.lr_scheduler.factor", "2"], "Plateau's factor 2.0 must be above 0"),
    (["--trainer.max_epochs", "few"], "--trainer.max_epochs few: expected a whole number"),
    (["--trainer.gradient_clip_algorithm", "most"], "--trainer.gradient_clip_algorithm most: `gradient_cl"),
    (
        ["--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor", "accuracy"],
        "--trainer.callbacks EarlyStopping: nothing measures its monitor accuracy; give val/accuracy or another of",
    ),
    (
        ["--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor", "val/acc"],
        "--trainer.callbacks EarlyStopping: nothing measures its monitor val/acc; give val/accuracy or another of "
        "val/f1_macro, val/loss, val/balanced_accuracy, train/accuracy, train/loss, train/loss_step",
    ),
    (
        ["--trainer.callbacks", "ModelCheckpoint", "--trainer.callbacks.monitor", "val/loss", "--data.val_size", "0"],
        "--trainer.callbacks ModelCheckpoint: nothing measures its monitor val/loss; give train/loss or another of "
        "train/loss_step, train/accuracy",
    ),
    (["--trainer.callbacks", "lightning.pytorch.callbacks.BackboneFinetuning"], "BackboneFinetuning: give Finetuning"),
    (["--trainer.callbacks", "LearningRateFinder"], "LearningRateFinder: give --model.optimizer.lr"),
    (
        ["--model.lr_scheduler", "Plateau", "--trainer.limit_val_batches", "0"],
        "--trainer.limit_val_batches 0: nothing is validated, and the schedule Plateau watches val/loss; give more",
    ),
    (
        ["--model.lr_scheduler", "Plateau", "--data.val_size", "0"],
        "--data.val_size 0: nothing is validated, and the schedule Plateau watches val/loss; give more than 0",
    ),
    *(
        (
            ["--trainer.callbacks", "ModelCheckpoint", "--trainer.callbacks.monitor", "val/loss", *switch],
            f"{' '.join(switch)}: Trainer was configured with `enable_checkpointing=False` but found `ModelCheckpoint`",
        )
        for switch in (["--trainer.barebones", "true"], ["--trainer.enable_checkpointing", "false"])
    ),
    (
        ["--model.optimizer.betas", "[1, 0.9]"],
        "--model.optimizer.betas [1, 0.9]: Invalid beta parameter at index 0: 1.0; --model.optimizer.help AdamW shows",
    ),
    (
        ["--model.network.hidden", "[0]"],
        "--model.network.hidden [0]: MLP's hidden layers [0] must have at least 1 unit",
    ),
    (["--model.loss.reduce", "true"], "--model.loss.reduce true: torch has reduction in its place; give that"),
    (["--model.optimizer.differentiable", "true"], "--model.optimizer.differentiable true: give false"),
    (["--model.loss.reduction", "most"], "--model.loss.reduction most: give mean or sum or none"),
    (
        ["--trainer.devices", "many"],
        "--trainer.devices many: `devices` selected with `CPUAccelerator` should be",
    ),
    (["--trainer.devices", "0"], "--trainer.devices 0: "),
    (["--trainer.accelerator", "[1, 2]"], "list'; what it takes: Supports passing different accelerator types"),
    (["--trainer.max_time", "{fortnights: 1}"], "--trainer.max_time {fortnights: 1}: "),
    (["--trainer.max_time", "{a: 1}"], "The time duration can be specified in the format DD:HH:MM:SS"),
    (
        ["--trainer.plugins", "0"],
        "--trainer.plugins 0: give a class, as in '{class_path: lightning.pytor",
    ),
    (["--trainer.plugins", "[false]"], "--trainer.plugins [false]: give a class, as in '{class_path: "),
    (
        ["--model.loss.init_args.weight", "[1, 2]"],
        "--model.loss.weight [1.0, 2.0]: weight tensor should be defined either for all 10 classes",
    ),
    (["--model.optimizer.capturable", "true"], "--model.optimizer.capturable true: AssertionError If capturable=True"),
    (
        ["--model.lr_scheduler", "CyclicLR"],
        "--model.lr_scheduler CyclicLR: needs --model.lr_scheduler.max_lr, given after it",
    ),
    (
        ["--trainer.callbacks", "ThroughputMonitor", "--trainer.callbacks.batch_size_fn", "len"],
        "--trainer.callbacks.batch_size_fn len: expected a function or a class with its module, as in torch.nn.ReLU",
    ),
    (
        ["--trainer.callbacks", "LambdaCallback", "--trainer.callbacks.on_fit_start", "len"],
        "--trainer.callbacks.on_fit_start len: expected a function or a class with its module",
    ),
    (["--trainer.limit_val_batches", "-1"], "--trainer.limit_val_batches -1: You have passed invalid value -1"),
    (["--trainer.precision", "transformer-engine"], "--trainer.precision transformer-engine: Requirement"),
    (["--trainer.profiler", "best"], "--trainer.profiler best: When passing string value for the `profiler`"),
    (
        ["--trainer.callbacks", "ModelCheckpoint", "--trainer.callbacks.save_top_k", "-3"],
        "--trainer.callbacks.save_top_k -3: Invalid value for save_top_k=-3. Must be >= -1",
    ),
    (["--data.classes", "[cat,"], "--data.classes [cat,: expected a list, as in '[a, b]'"),
    (["--data.classes", "[0, 10]"], "--data.classes [0, 10]: name two or more of 0, 1, 2,"),
    (["--trainer.max_epochs", "0"], "--trainer.max_epochs 0: nothing would be trained; give at least 1"),
    (["--trainer.max_steps", "0"], "--trainer.max_steps 0: nothing would be trained; give at least 1"),
    (["--trainer.limit_train_batches", "0"], "--trainer.limit_train_batches 0: nothing would be trained; give at leas"),
    (["--trainer.accumulate_grad_batches", "0"], "--trainer.accumulate_grad_batches 0: give a number of at least 1"),
    (["--trainer.max_epochs", "-1"], "--trainer.max_epochs -1: a run needs a length; give that or --trainer.max_steps"),
    (
        ["--trainer.sync_batchnorm", "true", "--trainer.accelerator", "cpu", "--trainer.devices", "2"],
        "--trainer.sync_batchnorm true: torch synchronises batch normalisation on GPUs only; leave it out",
    ),
    (["--trainer.callbacks", "BatchSizeFinder"], "BatchSizeFinder: give --data.batch_size"),
]


@pytest.mark.parametrize(("options", "expected"), CASES, ids=[" ".join(options) for options, _ in CASES])
def test_option(error: Callable[..., str], options: list[str], expected: str) -> None:
    assert expected in error("fit", *QUICK, *options)
    assert not list(Path().glob("lightning_logs/*/*"))


def test_more_for_validation_than_the_classes_have(error: Callable[..., str]) -> None:
    line = error("fit", *QUICK, "--data.classes", "[0, 1]", "--data.val_size", "500", "--data.batch_size", "10")
    assert "--data.val_size 500: the classes have 2" in line
    assert not list(Path().glob("lightning_logs/*/*"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--trainer.val_check_interval", "1000"], "--trainer.val_check_interval: `val_check_interval` (1000) must be"),
        (["--trainer.limit_val_batches", "0.1"], "--trainer.limit_val_batches 0.1: this fraction of the val batches"),
        (
            ["--trainer.limit_test_batches", "0.9"],
            "--trainer.limit_test_batches 0.9: this fraction of the test batches",
        ),
        (
            ["--trainer.limit_train_batches", "0.02"],
            "--trainer.limit_train_batches 0.02: this fraction of the train batches (12) is less than one",
        ),
        (["--trainer.overfit_batches", "0.5"], "--trainer.overfit_batches 0.5: this fraction of the val batches"),
        (
            ["--trainer.callbacks", "LearningRateMonitor", "--trainer.logger", "false"],
            "LearningRateMonitor: Cannot use `LearningRateMonitor` callback with `Trainer` that has no",
        ),
    ],
)
def test_what_is_known_when_the_data_is_read(error: Callable[..., str], options: list[str], expected: str) -> None:
    assert expected in error("fit", *QUICK, *options)
    assert not list(Path().glob("lightning_logs/*/*"))


def test_no_gpu(error: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert "--trainer.accelerator gpu" in error("fit", *QUICK, "--trainer.accelerator", "gpu")
    assert not list(Path().glob("lightning_logs/*/*"))


def test_unknown_command(error: Callable[..., str]) -> None:
    assert error("fti", *QUICK) == "fti: no such command; did you mean fit?"
    assert error("go", *QUICK).startswith(
        "go: no such command; the command comes first, then its options: main.py fit|"
    )


@pytest.mark.parametrize("args", [[], [*DIGITS, "fit"]])
def test_command_comes_first(error: Callable[..., str], args: list[str]) -> None:
    assert "the command comes first" in error(*args)


def test_no_network_named(error: Callable[..., str]) -> None:
    assert "--model.network is missing" in error("fit")


BROKEN = [
    ("model: [1,2\n a: b", "not YAML"),
    ("just words", "holds no settings"),
    ("trainer: {max_epoch: 3}", "--trainer.max_epoch: no such option; did you mean --trainer.max_epochs?"),
    ("model: {netwrk: {class_path: MLP}}", "--model.netwrk: no such option; did you mean --model.network?"),
    ("data: {init_args: {batch: 3}}", "--data.batch: Digits has no such option; did you mean batch_size?"),
]


@pytest.mark.parametrize(("text", "expected"), BROKEN)
def test_config_file(error: Callable[..., str], text: str, expected: str) -> None:
    Path("broken.yaml").write_text(text)
    assert expected in error("fit", *QUICK, "--config", "broken.yaml")


@pytest.mark.parametrize("words", [["--config", "none.yaml"], ["-c", "none.yaml"], ["--config=none.yaml"]])
def test_missing_config_file(error: Callable[..., str], words: list[str]) -> None:
    assert "--config none.yaml: No such file" in error("fit", *words)


def test_an_error_that_was_never_raised() -> None:
    assert user_message(ValueError("of no program")) == ""
    assert user_message(UserError("--name x: give another")) == "--name x: give another"
