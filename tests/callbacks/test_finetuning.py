"""Fine-tuning: first the head, then the whole network; a resumed run equals a run that was not stopped."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from project.benchmarks.comparison import differences
from project.cli.main import main
from project.training.classifier import Classifier
from tests.conftest import CONFIGS

WHOLE, RESUMED = Path("lightning_logs/finetune/version_0"), Path("lightning_logs/finetune/version_1")
STEPS = 3
CONFIG = ["--config", str(CONFIGS / "finetune.yaml"), "--config", str(CONFIGS / "data/digits.yaml")]
NETWORK = ["--model.network.name", "shufflenet_v2_x0_5", "--model.network.weights", "null"]
QUICK = ["--model.network.image_size", "32", "--data.batch_size", "20", "--trainer.accelerator", "cpu"]
FEW = ["--data.classes", "['0', '1']", "--data.val_size", "235"]  # of 295 images
WORDS = [*CONFIG, *NETWORK, *QUICK, *FEW, "--trainer.max_epochs", "3"]


class Stopped(BaseException):
    """Ends a run early. An Exception would count as an error in the user's code."""


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that runs a fit and calls `see` with the classifier before each step."""

    def fit(words: list[str], see: Callable[[Classifier], None]) -> None:
        original = Classifier.training_step

        def training_step(self: Classifier, batch: object, batch_idx: int) -> Tensor:
            see(self)
            return original(self, batch, batch_idx)

        with monkeypatch.context() as patched:
            patched.setattr(Classifier, "training_step", training_step)
            main(["fit", *words])

    return fit


def rates_of(classifier: Classifier) -> list[float]:
    return [group["lr"] for group in classifier.trainer.optimizers[0].param_groups]


def test_head_first_then_all_of_it(watch: Callable[..., None]) -> None:
    weights: list[dict[str, Tensor]] = []
    rates: list[list[float]] = []

    def see(classifier: Classifier) -> None:
        weights.append({name: value.clone() for name, value in classifier.network.state_dict().items()})
        rates.append(rates_of(classifier))

    watch([*WORDS, "--trainer.callbacks.unfreeze_at_epoch", "2"], see)
    assert len(weights) == 3 * STEPS
    frozen = [name for name, value in weights[0].items() if torch.equal(value, weights[2 * STEPS][name])]
    assert {name for name in weights[0] if not name.startswith("heads.")} == set(frozen)
    still = [name for name, value in weights[2 * STEPS].items() if torch.equal(value, weights[-1][name])]
    assert set(still) == {"scale", "offset"}
    for number, found in enumerate(rates):  # of head and backbone, each with and without weight decay
        head = 0.002 * (1 - number / (3 * STEPS))
        assert found == pytest.approx([head, head, 0.1 * head, 0.1 * head])


def test_auxiliary_heads_learn_with_the_head(watch: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    weights: list[dict[str, Tensor]] = []

    def see(classifier: Classifier) -> None:
        weights.append({name: value.clone() for name, value in classifier.network.state_dict().items()})

    watch([*WORDS, "--model.network.name", "googlenet", "--trainer.max_epochs", "1"], see)
    changed = {name for name, value in weights[0].items() if not torch.equal(value, weights[-1][name])}
    assert changed == {f"heads.{head}.{part}" for head in range(3) for part in ("weight", "bias")}
    line = "Finetuning: only the head learns: the run has 1 epoch, and unfreeze_at_epoch is 1\n"
    assert line in capsys.readouterr().out


AVERAGED = ["--trainer.callbacks+", "EMAWeightAveraging", "--model.lr_scheduler", "OneCycle"]


@pytest.mark.parametrize(("step", "options"), [(STEPS, AVERAGED), (STEPS + 2, [])])
def test_a_resumed_run_is_the_same(watch: Callable[..., None], step: int, options: list[str]) -> None:
    def stop(classifier: Classifier) -> None:
        if classifier.global_step == step:
            raise Stopped

    words = [*WORDS, *options, "--trainer.max_epochs", "2", "--checkpoints.every_n_steps", str(step)]
    main(["fit", *words])
    with pytest.raises(Stopped):
        watch(words, stop)
    main(["fit", *words, "--ckpt_path", "last"])
    assert differences(WHOLE, RESUMED) == []


def test_a_new_rate_counts_for_both_parts(watch: Callable[..., None], error: Callable[..., str]) -> None:
    main(["fit", *WORDS, "--trainer.max_epochs", "2", "--model.lr_scheduler", "null"])
    rates: list[list[float]] = []
    options = ["--model.lr_scheduler", "null", "--model.optimizer.lr", "0.004", "--ckpt_path", "last"]
    watch([*WORDS, *options], lambda classifier: rates.append(rates_of(classifier)))
    assert rates == [pytest.approx([0.004, 0.004, 0.0004, 0.0004])] * STEPS
    others = [*options, "--trainer.callbacks.layer_decay", "0.5", "--trainer.max_epochs", "4"]
    line = "--trainer.callbacks: the checkpoint's optimizer has 4 groups of parameters, this run's 36; give Finetuning"
    assert error("fit", *WORDS, *others).startswith(line)


def test_linear_probe_of_any_network(watch: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    """The whole run trains the last layer only. The statistics of batch normalisation do not change, either."""
    weights: list[dict[str, Tensor]] = []
    options = ["--trainer.callbacks", "Finetuning", "--trainer.callbacks.unfreeze_at_epoch", "null"]
    words = ["--config", str(CONFIGS / "convnet.yaml"), *CONFIG[2:], *FEW, "--trainer.max_epochs", "2", *options]
    words += ["--trainer.accelerator", "cpu", "--data.batch_size", "20", "--trainer.callbacks.layer_decay", "0.5"]

    def see(classifier: Classifier) -> None:
        weights.append({name: value.clone() for name, value in classifier.network.state_dict().items()})

    watch(words, see)
    changed = {name for name, value in weights[0].items() if not torch.equal(value, weights[-1][name])}
    assert changed == {"head.2.weight", "head.2.bias"}
    printed = capsys.readouterr().out
    assert printed.count("Finetuning: ") == 1
    assert "Finetuning: the layers before the head are random; --model.weights gives them those of" in printed
