"""What a worker does with the values that fits report: pruning, repeated settings, confirmation, pictures."""

import json
import os
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.trial import FrozenTrial

from project.compare.pictures import study_pictures
from project.compare.runs import Run
from project.search import worker
from project.search.fits import Fit, Report
from project.search.search import Search
from project.search.space import read_space
from project.search.study import Study, worker_lock
from project.system import threads
from project.system.errors import UserError

STUDY = Path("lightning_logs/net-search")
LR = "model.optimizer.lr: {log: [0.001, 0.1]}\n"
LOW_IS_PRUNED = "pruner: {class_path: ThresholdPruner, init_args: {lower: 0.7}}\n"


class ComputedFits:
    """Fits that train nothing: their accuracy is a function of learning rate, step and seed."""

    def __init__(self) -> None:
        self.tests = 0

    def check(self, candidates: Sequence[Sequence[str]], objective: str) -> Mapping[str, Any]:
        return {"model.optimizer.lr": 0.001, "seed_everything": 0}

    def run(self, fit: Fit, report: Report) -> str:
        words = dict(zip(fit.words[::2], fit.words[1::2], strict=True))
        lr, seed = float(words.get("--model.optimizer.lr", "0.001")), int(words.get("--seed_everything", "0"))
        (fit.run / "checkpoints").mkdir(parents=True)
        settings = {"model": {"optimizer": {"class_path": "AdamW", "init_args": {"lr": lr}}}, "data": {"shift": 3}}
        (fit.run / "config.yaml").write_text(yaml.safe_dump(settings))
        value = 0.0
        for percent in (10, 40, 100):
            value = min(0.9, 0.6 + 10 * lr) + 0.001 * seed
            if report(percent, value):
                return ""
        (fit.run / "results.json").write_text(json.dumps({"val/accuracy": value}))
        return ""

    def test(self, run: Path) -> Mapping[str, float]:
        self.tests += 1
        return {"test/accuracy": 0.8, "test/loss": 0.5}


def search(text: str, **options: Any) -> Callable[..., list[FrozenTrial]]:
    Path("space.yaml").write_text(text)
    fits = ComputedFits()
    Search(fits, ["--config", "net.yaml"], STUDY, Path("space.yaml"), 6, 2, **options).run()
    assert fits.tests == options.get("confirm", 0)
    return lambda name="search": Study(STUDY, read_space(Path("space.yaml")), name).trials()


def test_all_trials_but_the_first_are_pruned_at_their_first_report_below_the_threshold(
    capsys: pytest.CaptureFixture[str],
) -> None:
    trials = search(LR + LOW_IS_PRUNED)()
    for trial in trials:
        value = min(0.9, 0.6 + 10 * trial.params["model.optimizer.lr"])
        pruned = value < 0.7 and trial.number > 0
        assert trial.state.name == ("PRUNED" if pruned else "COMPLETE")
        assert trial.value == pytest.approx(value)
        assert list(trial.intermediate_values) == ([10] if pruned else [10, 40, 100])
    assert trials[0].params == {"model.optimizer.lr": 0.001}  # the starting settings
    printed = capsys.readouterr().out
    assert "trial 0: val/accuracy 61.00 %, model.optimizer.lr 0.001; best 61.00 % in trial 0; 5 left" in printed
    pruned_trials = [trial.number for trial in trials if trial.state.name == "PRUNED"]
    assert pruned_trials == [int(number) for number in re.findall(r"trial (\d): .* when it was pruned", printed)] != []
    kept = {path.parent.name for path in STUDY.glob("*/checkpoints")}
    best = sorted(trials, key=lambda trial: -trial.value * (trial.state.name == "COMPLETE"))[:2]
    assert kept == {f"version_{trial.number}" for trial in best}


def test_the_first_trial_has_what_the_space_has_of_the_starting_settings() -> None:
    at_the_end = "pruner: {class_path: ThresholdPruner, init_args: {lower: 0.95, n_warmup_steps: 50}}\n"
    trials = search(LR + at_the_end + "data.shift: {int: [2, 4]}\n")()  # the experiment has no shift
    assert {trial.state.name for trial in trials} == {"COMPLETE"}  # none is pruned that has nothing left to train
    first, second = trials[:2]
    assert first.system_attrs["fixed_params"] == {"model.optimizer.lr": first.params["model.optimizer.lr"]}
    assert first.params["model.optimizer.lr"] == 0.001
    assert "fixed_params" not in second.system_attrs


def test_each_setting_runs_with_all_seeds_and_the_pruner_sees_one_a_step() -> None:
    for trial in search(LR + LOW_IS_PRUNED + "seed_everything: {all: [3, 5]}\n")():
        first = min(0.9, 0.6 + 10 * trial.params["model.optimizer.lr"]) + 0.003
        values = [first, first + 0.002][: len(trial.intermediate_values)]
        assert trial.intermediate_values == pytest.approx(dict(enumerate(values, 1)))
        assert len(values) == (1 if first < 0.7 and trial.number > 0 else 2)
        if trial.state.name == "COMPLETE":
            assert trial.value == pytest.approx(sum(values) / 2)
        runs = [(STUDY / f"version_{2 * trial.number + place}").exists() for place in (0, 1)]
        assert runs == [True, len(values) == 2]


def test_a_small_space_is_tried_whole_and_a_trial_that_falls_behind_ends_after_its_first_seed() -> None:
    choices = "model.optimizer.lr: {choice: [0.002, 0.001, 0.004, 0.003]}\n"
    trials = search(choices + "seed_everything: {all: [0, 1, 2]}\nsampler: BruteForceSampler\n")()
    assert [trial.params["model.optimizer.lr"] for trial in trials] == [0.001, 0.002, 0.004, 0.003]
    assert [len(trial.intermediate_values) for trial in trials] == [3, 3, 3, 1]
    assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED"]


def test_the_best_settings_are_confirmed_and_the_winner_is_tested_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr("project.search.pictures.pyplot.close", drawn.append)
    trials = search(LR, confirm=3)
    printed = capsys.readouterr().out
    assert "the starting settings: val/accuracy 61.20 % +- 0.10 % (mean and standard deviation over 3 seeds)" in printed
    best = max(trials(), key=lambda trial: trial.value or 0)
    # The pruner compares at 40 percent; of few trials only the best one goes on.
    values = [trial.value for trial in trials()]
    assert [list(trial.intermediate_values) for trial in trials()] == [
        [10, 40, 100] if value == max(values[: number + 1]) else [10, 40] for number, value in enumerate(values)
    ]
    gain = 100 * ((best.value or 0) - 0.61)
    assert f"difference to the starting settings +{gain:.2f} points, 95 % interval +{gain:.2f} points to" in printed
    assert f"winner: trial {best.number}; run it: python scripts/main.py fit --config net.yaml --config " in printed
    assert "once for each seed: test/accuracy 80.00 % +- 0.00 %" in printed
    overlay = yaml.safe_load((STUDY / "best.yaml").read_text())
    assert overlay == {
        "model": {"optimizer": {"class_path": "AdamW", "init_args": {"lr": best.params["model.optimizer.lr"]}}}
    }
    again = ComputedFits()
    Search(again, ["--config", "net.yaml"], STUDY, Path("space.yaml"), 6, 2, confirm=3).run()
    assert again.tests == 0
    confirmed = [path.parent.name for path in Path("lightning_logs/net-search-confirm3").glob("*/checkpoints")]
    assert len(confirmed) == 3
    assert {path.stem for path in STUDY.glob("pictures/*")} == {"history", "importance", "parallel_coordinate"}
    history, _, parallel = (figure.axes[0] for figure in drawn[:3])
    assert history.get_ylabel() == "val/accuracy"
    assert [label.get_text() for label in parallel.get_xticklabels()] == ["val/accuracy", "model.optimizer.lr"]
    assert "history of net-search" in study_pictures([Run(STUDY / "version_0")])


def test_one_trial_has_a_history() -> None:
    Path("space.yaml").write_text(LR)
    Search(ComputedFits(), ["--config", "net.yaml"], STUDY, Path("space.yaml"), 1, 2).run()
    assert [path.name for path in (STUDY / "pictures").iterdir()] == ["history.png"]


def test_a_study_in_which_everything_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ComputedFits, "run", lambda *_: "the loss is nan")
    with pytest.raises(UserError, match="net-search: no trial has finished; the first error: the loss is nan"):
        search(LR)
    assert "trial 5: failed (the loss is nan), model.optimizer.lr" in capsys.readouterr().out


def test_a_study_that_cannot_be_written() -> None:
    Path("space.yaml").write_text(LR)
    STUDY.mkdir(parents=True)
    Study(STUDY, read_space(Path("space.yaml")))
    Path("lightning_logs").chmod(0o777)
    STUDY.chmod(0o555)
    Path().chmod(0o777)
    user = os.geteuid()
    os.seteuid(user or 65534)  # root may write anywhere
    try:
        with pytest.raises(UserError, match=r"^--name lightning_logs.net-search: it cannot be written \(Permission"):
            Search(ComputedFits(), ["--config", "net.yaml"], STUDY, Path("space.yaml"), 6, 2).run()
    finally:
        os.seteuid(user)
        STUDY.chmod(0o755)


def test_a_study_whose_description_is_damaged() -> None:
    STUDY.mkdir(parents=True)
    (STUDY / "study.yaml").write_text("{")
    with pytest.raises(UserError, match=r"study.yaml: it is damaged; give --name with another name to start a new"):
        search(LR)


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({}, "2 workers of this study share 4 cores of this machine: new trials compute with 2 threads"),
        ({"OMP_NUM_THREADS": "3"}, "with 3 threads; they slow each other down: end some, or lower OMP_NUM_THREADS"),
        ({"SLURM_CPUS_PER_TASK": "4"}, ""),
    ],
    ids=["shared", "too many threads", "SLURM"],
)
def test_two_workers_on_a_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variables: dict[str, str], line: str
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for module in (threads, worker):
        monkeypatch.setattr(module, "usable_cores", lambda: 4)
    Path("space.yaml").write_text(LR)
    other = worker_lock(STUDY, socket.gethostname(), -1)
    Search(ComputedFits(), [], STUDY, Path("space.yaml"), 1, 1).run()
    other.release()
    said = [line for line in capsys.readouterr().out.splitlines() if "workers of this study" in line]
    assert [text[-len(line) :] for text in said] == ([line] if line else [])
