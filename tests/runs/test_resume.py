"""A run that was stopped and resumed is the run that was not."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from project.benchmarks.comparison import differences
from project.cli.main import main
from project.runs.directories import lock_run
from project.system.errors import UserError
from project.training.classifier import Classifier
from tests.conftest import STEPS, Stopped

WHOLE, RESUMED = Path("lightning_logs/mlp/version_0"), Path("lightning_logs/mlp/version_1")


@pytest.fixture(autouse=True)
def event_files_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard reads the event files of one second in the order of their names, in which 10 comes before 9."""
    monkeypatch.setattr(event_file_writer, "_global_uid", event_file_writer.AtomicCounter(1000))


def test_the_run_is_the_same(digits: Callable[..., list[str]], stop_at: Callable[..., None]) -> None:
    """A run of four epochs, and another, stopped in the middle of its third and resumed."""
    words = [*digits(epochs=4), "--data.shift", "2", "--trainer.log_every_n_steps", "10"]
    words += ["--data.balance", "oversample", "--data.transforms", "[RandomErasing]"]
    words += ["--data.mix", "{mixup: 0.2, cutmix: 1, probability: 0.7}"]
    main(["fit", *words])
    stop_at(2 * STEPS + 7, words)
    assert (RESUMED / "metrics.csv").exists()
    main(["fit", *words, "--ckpt_path", "last"])
    check_weights()
    check_curves()
    check_directories()


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        found = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if name != "train/images_per_second"} for row in found]


def check_weights() -> None:
    whole, resumed = (torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (WHOLE, RESUMED))
    assert whole["global_step"] == resumed["global_step"] == 4 * STEPS
    assert whole["lr_schedulers"] == resumed["lr_schedulers"]
    for name, weights in whole["state_dict"].items():
        assert torch.equal(weights, resumed["state_dict"][name])
    states = (checkpoint["optimizer_states"][0]["state"] for checkpoint in (whole, resumed))
    for ours, theirs in zip(*(state.values() for state in states), strict=True):
        assert torch.equal(ours["exp_avg_sq"], theirs["exp_avg_sq"])


def check_curves() -> None:
    assert rows(WHOLE) == rows(RESUMED)
    whole, resumed = (EventAccumulator(str(run)).Reload() for run in (WHOLE, RESUMED))
    assert whole.Tags()["scalars"] == resumed.Tags()["scalars"]
    for name in set(whole.Tags()["scalars"]) - {"train/images_per_second"}:
        curves = ([(event.step, event.value) for event in events.Scalars(name)] for events in (whole, resumed))
        assert next(curves) == next(curves)


def check_directories() -> None:
    assert sorted(path.name for path in WHOLE.parent.iterdir()) == ["version_0", "version_1"]
    assert (RESUMED / "environment-2.yaml").exists()
    first, second = (yaml.safe_load((RESUMED / name).read_text()) for name in ("config.yaml", "config-2.yaml"))
    assert first.pop("ckpt_path") is None
    assert second.pop("ckpt_path").endswith("last.ckpt")
    assert first == second
    assert yaml.safe_load((WHOLE / "config.yaml").read_text())["ckpt_path"] is None


def test_batches_go_on_in_the_middle_of_an_epoch(
    digits: Callable[..., list[str]], stop_at: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[tuple[int, float]]] = {"whole": [], "resumed": []}
    original = Classifier.training_step
    part = "whole"

    def training_step(self: Classifier, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
        seen[part].append((batch_idx, float(batch[0].double().sum())))
        return original(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", training_step)
    words = [*digits(), "--data.shift", "2", "--trainer.callbacks", "ModelCheckpoint"]
    words += ["--trainer.callbacks.every_n_train_steps", "5", "--trainer.callbacks.dirpath", "steps"]
    main(["fit", *words])
    part = "resumed"
    main(["fit", *words, "--ckpt_path", "steps/epoch=1-step=10.ckpt"])
    assert len(seen["whole"]) == STEPS
    assert seen["resumed"] == seen["whole"][10:]


def test_options_win_over_the_checkpoint(
    digits: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
    stop_at: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    constant = ["--model.lr_scheduler", "null", "--trainer.log_every_n_steps", "1"]
    stop_at(STEPS + 3, [*digits(epochs=2), *constant, "--model.optimizer.lr", "0.01", "--threads", "2"])
    options = ["--model.optimizer.lr", "0.003", "--model.optimizer.weight_decay", "0.2"]
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("project.system.threads.usable_cores", lambda: 2)
    main(["fit", *digits(epochs=2), *constant, *options, "--ckpt_path", "last"])
    printed = capsys.readouterr().out
    assert "changed: threads" not in printed  # a run goes on with the number that it had
    assert "threads: 2\n" in (WHOLE / "environment-2.yaml").read_text()
    assert torch.get_num_threads() == 1
    assert "changed: --model.optimizer.lr: 0.01 -> 0.003" in printed
    assert "changed: --model.optimizer.weight_decay: 0.05 -> 0.2" in printed
    rates = [float(row["train/lr"]) for row in rows(WHOLE) if row["train/lr"]]
    assert rates == pytest.approx([0.01] * STEPS + [0.003] * STEPS)
    group = torch.load(WHOLE / "checkpoints/last.ckpt", weights_only=True)["optimizer_states"][0]["param_groups"][0]
    assert (group["lr"], group["weight_decay"]) == (pytest.approx(0.003), 0.2)


def test_a_schedules_peak_wins_over_the_checkpoint(
    digits: Callable[..., list[str]], stop_at: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    schedule = ["--model.lr_scheduler", "WarmupLinear", "--model.lr_scheduler.warmup", "0"]
    words = [*digits(epochs=2), *schedule, "--trainer.log_every_n_steps", "1", "--model.optimizer.lr"]
    stop_at(STEPS + 3, [*words, "0.01", "--threads", "2"])
    main(["fit", *words, "0.02", "--ckpt_path", "last"])
    assert "changed: threads: 2 -> 1\n" in capsys.readouterr().out  # OMP_NUM_THREADS is 1 here
    rates = [float(row["train/lr"]) for row in rows(WHOLE) if row["train/lr"]]
    line = [(2 * STEPS - step) / (2 * STEPS) for step in range(2 * STEPS)]
    assert rates == pytest.approx([(0.01 if step < STEPS else 0.02) * share for step, share in enumerate(line)])


def test_what_watches_the_loss_wins_too(digits: Callable[..., list[str]]) -> None:
    early = ["--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor", "val/loss"]
    plateau = ["--model.lr_scheduler", "Plateau", "--model.lr_scheduler.patience"]
    patience = "--trainer.callbacks.patience"
    main(["fit", *digits(), *early, patience, "7", *plateau, "5"])
    main(["fit", *digits(epochs=2), *early, patience, "8", *plateau, "6", "--ckpt_path", "last"])
    saved = torch.load(WHOLE / "checkpoints/last.ckpt", weights_only=True)
    (schedule,) = saved["lr_schedulers"]
    early_stop = next(state for name, state in saved["callbacks"].items() if name.startswith("Early"))
    assert (schedule["patience"], early_stop["patience"]) == (6, 8)
    assert schedule["best"] == pytest.approx(early_stop["best_score"].item())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model.optimizer", "torch.optim.RAdam"], "--model.optimizer RAdam: the checkpoint has the state of AdamW"),
        (["--model.lr_scheduler", "null"], "--model.lr_scheduler None: the checkpoint has the state of OneCycle"),
    ],
)
def test_another_optimizer_cannot_go_on(
    digits: Callable[..., list[str]],
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
    finished_run: Callable[..., None],
) -> None:
    finished_run()
    with pytest.raises(SystemExit) as stopped:
        main(["fit", *digits(epochs=2), *options, "--ckpt_path", "last"])
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
    assert not (WHOLE / "config-2.yaml").exists()


def test_a_second_process_is_refused(
    digits: Callable[..., list[str]], capsys: pytest.CaptureFixture[str], finished_run: Callable[..., None]
) -> None:
    finished_run()
    held = lock_run(WHOLE)
    with pytest.raises(SystemExit) as stopped:
        main(["fit", *digits(epochs=2), "--ckpt_path", "last"])
    held.release()
    assert stopped.value.code == 2
    assert f"another process is training {WHOLE}" in capsys.readouterr().err
    main(["fit", *digits(epochs=2), "--ckpt_path", "last"])


def test_a_new_run_is_its_processs_own_while_it_trains(
    digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Classifier.training_step

    def training_step(self: Classifier, batch: object, batch_idx: int) -> torch.Tensor:
        with pytest.raises(UserError, match=f"another process is training {WHOLE}"):
            lock_run(WHOLE)
        return original(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", training_step)
    main(["fit", *digits(), "--trainer.max_steps", "2"])
    lock_run(WHOLE).release()


def test_a_runs_own_config_resumes_that_run(digits: Callable[..., list[str]], stop_at: Callable[..., None]) -> None:
    stop_at(STEPS + 3, digits(epochs=2))
    main(["fit", *digits(epochs=1)])
    main(["fit", "--config", str(WHOLE / "config.yaml"), "--ckpt_path", "last"])
    assert (WHOLE / "results.json").exists()
    assert sorted(path.name for path in WHOLE.parent.iterdir()) == ["version_0", "version_1"]


def test_a_run_that_stopped_early_stays_stopped(
    digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*args: object) -> None:
        raise Stopped

    early = ["--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor", "val/loss"]
    words = [*digits(epochs=9), *early, "--trainer.callbacks.min_delta", "9", "--trainer.callbacks.patience", "1"]
    main(["fit", *words])
    with monkeypatch.context() as patched:
        patched.setattr(Classifier, "test_step", killed)
        with pytest.raises(Stopped):
            main(["fit", *words])
    main(["fit", *words, "--ckpt_path", "last"])
    assert differences(WHOLE, RESUMED) == []


@pytest.mark.parametrize("lengths", [["20", "5", "16"], ["-1", "5"]], ids=["by steps", "to the epoch's end"])
def test_a_run_that_ended_within_an_epoch_can_be_lengthened(
    digits: Callable[..., list[str]], lengths: list[str]
) -> None:
    words = [*digits(epochs=2), "--model.lr_scheduler", "null", "--trainer.max_steps"]
    whole, *shorter = lengths
    main(["fit", *words, whole])
    main(["fit", *words, shorter[0]])
    results = json.loads((RESUMED / "results.json").read_text())
    assert (results["epochs"], results["steps"]) == (0, 5)
    figures = [(int(row["epoch"]), int(row["step"])) for row in rows(RESUMED) if row["train/loss"]]
    assert figures == [(1, 5)]  # of the part of the epoch, after 5 steps
    for steps in (*shorter[1:], whole):
        main(["fit", *words, steps, "--ckpt_path", "last"])
    assert differences(WHOLE, RESUMED) == []


@pytest.mark.parametrize("hook", ["on_train_epoch_end", "test_step"])
def test_a_run_killed_after_its_last_step_within_an_epoch_reports_that_epoch(
    hook: str, digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    original = getattr(Classifier, hook)

    def killed_after_16_steps(self: Classifier, *batch: object) -> None:
        if self.global_step == 16:
            raise Stopped
        original(self, *batch)

    words = [*digits(epochs=2), "--trainer.max_steps", "16"]
    main(["fit", *words])
    with monkeypatch.context() as patched:
        patched.setattr(Classifier, hook, killed_after_16_steps)
        with pytest.raises(Stopped):
            main(["fit", *words])
    main(["fit", *words, "--ckpt_path", "last"])
    assert differences(WHOLE, RESUMED) == []


def test_an_epochs_figures_are_its_own_after_a_checkpoint_of_the_end_of_another(
    digits: Callable[..., list[str]],
) -> None:
    words = [*digits(epochs=2), "--model.lr_scheduler", "null", "--trainer.callbacks", "ModelCheckpoint"]
    words += ["--trainer.callbacks.save_top_k", "-1", "--trainer.callbacks.dirpath", "epochs"]
    main(["fit", *words])
    main(["fit", *words, "--ckpt_path", f"epochs/epoch=1-step={STEPS}.ckpt"])
    (*_, whole), (resumed,) = ([row for row in rows(run) if row["train/loss"]] for run in (WHOLE, RESUMED))
    assert whole == resumed


def test_a_finished_run_can_be_lengthened(digits: Callable[..., list[str]]) -> None:
    main(["fit", *digits(epochs=1)])
    main(["fit", *digits(epochs=2), "--ckpt_path", "last"])
    steps = [int(row["step"]) for row in rows(WHOLE) if row["train/loss"]]
    assert steps == [STEPS - 1, 2 * STEPS - 1]
