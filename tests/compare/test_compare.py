"""main.py compare: the table, the statistics, and which runs are shown as what."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax

from project.cli.main import main
from project.compare.answers import Answers, read_answers
from project.compare.comparison import compare
from project.runs.results import read_results
from tests.compare.runs import ADAMW, SGD, Printed, cells, config, write_logits, write_run
from tests.conftest import REPOSITORY

FAST = {**ADAMW, "init_args": {**ADAMW["init_args"], "lr": 0.01}}
SLOW_ACCURACIES, FAST_ACCURACIES = [0.91, 0.93, 0.92, 0.9], [0.94, 0.945, 0.93, 0.925]


@pytest.fixture
def two_groups() -> None:
    for seed, (slow, fast) in enumerate(zip(SLOW_ACCURACIES, FAST_ACCURACIES, strict=True)):
        write_run(f"lightning_logs/slow/version_{seed}", config(seed), {"test/accuracy": slow, "train_seconds": 9.5})
        write_run(f"lightning_logs/fast/version_{seed}", config(seed, FAST), {"test/accuracy": fast, "per_class": {}})


@pytest.mark.usefixtures("two_groups")
def test_runs_of_other_seeds_are_pooled(printed: Printed) -> None:
    header, best, other, *_ = map(cells, printed("lightning_logs"))
    assert header == ["run", "model.optimizer.lr", "seeds", "test/accuracy", "95 % interval", "train_seconds"]
    for row, name, lr, values in (
        (best, "fast", "0.01", FAST_ACCURACIES),
        (other, "slow", "0.005", SLOW_ACCURACIES),
    ):
        percent = 100 * np.array(values)
        low, high = stats.t.interval(0.95, 3, percent.mean(), stats.sem(percent))
        mean = f"{percent.mean():.2f} ± {percent.std(ddof=1):.2f} %"
        assert row[:5] == [f"{name}/version_0-3", lr, "0-3 (n = 4)", mean, f"{low:.2f} to {high:.2f}"]
    assert other[5] == "9.5 ± 0.0"


@pytest.mark.usefixtures("two_groups")
def test_groups_with_the_same_seeds_are_compared_in_pairs(printed: Printed) -> None:
    *_, title, _, header, row = printed("lightning_logs")
    assert title == "mean of test/accuracy minus that of fast/version_0-3, over the seeds that both have:"
    assert cells(header) == ["run", "common seeds", "mean difference", "95 % interval"]
    paired = stats.ttest_rel(SLOW_ACCURACIES, FAST_ACCURACIES)
    low, high = (100 * value for value in paired.confidence_interval(0.95))
    mean = 100 * (np.mean(SLOW_ACCURACIES) - np.mean(FAST_ACCURACIES))
    assert cells(row) == ["slow/version_0-3", "0-3 (n = 4)", f"{mean:+.2f} points", f"{low:+.2f} to {high:+.2f}"]
    (title,) = [line for line in printed("--baseline", "lightning_logs/slow/version_2") if "minus" in line]
    assert "slow/version_0-3" in title
    words = ["slow", "lightning_logs/fast/version_[237]"]
    write_run("lightning_logs/fast/version_7", config(7, FAST), {"test/accuracy": 0.9})
    assert cells(printed(*words)[-1])[:3] == ["slow/version_0-3", "2-3 (n = 2)", "-1.75 points"]
    assert not any("minus" in line for line in printed("slow", "lightning_logs/fast/version_[37]"))  # one common seed


@pytest.mark.usefixtures("two_groups")
def test_logits_give_ensembles_and_mcnemar(printed: Printed) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 500)
    answers = {}
    for name, signal in (("slow", 1.0), ("fast", 1.4)):
        logits = random.normal(size=(4, 500, 3)) + signal * np.eye(3)[labels]
        for seed in range(4):
            write_logits(Path(f"lightning_logs/{name}/version_{seed}"), logits[seed], labels)
        answers[name] = softmax(logits.astype(np.float32), axis=2).mean(0).argmax(1) == labels
    lines = printed("lightning_logs")
    header, best, other = map(cells, lines[:3])
    for name, row in (("fast", best), ("slow", other)):
        assert row[header.index("test ensemble")] == f"{100 * answers[name].mean():.2f} %"
    only_slow, only_fast = ((answers[a] & ~answers[b]).sum() for a, b in (("slow", "fast"), ("fast", "slow")))
    p = stats.binomtest(int(only_slow), int(only_slow + only_fast)).pvalue
    assert 1e-12 < p < 0.9
    assert cells(lines[-2]) == ["run", "only this correct", "only baseline correct", "McNemar p"]
    assert cells(lines[-1]) == ["slow/version_0-3", str(only_slow), str(only_fast), f"{p:.2g}"]

    write_logits(Path("lightning_logs/slow/version_0"), np.zeros((500, 3)), labels, ["a", "b", "c"])
    lines = printed("lightning_logs")
    assert any(line.startswith("slow/version_0-3: no ensemble, since its runs have different test") for line in lines)


def test_single_runs_on_the_same_images(printed: Printed) -> None:
    labels = np.array([0, 1, 0, 1, 0])
    right = np.eye(2)[labels]
    wrong = right.copy()
    wrong[:2] = right[:2, ::-1]
    wrong[2] = np.nan  # is no answer
    for name, logits in (("right", right), ("wrong", wrong), ("other", right[:3])):
        run = write_run(
            f"lightning_logs/{name}/version_0", config(data_dir=name), {"test/accuracy": {"right": 0.9}.get(name, 0.5)}
        )
        write_logits(run, logits, labels[: len(logits)])
    (logged := Path("lightning_logs/wrong/version_0/results.json")).write_text(
        '{"test/accuracy": 0.4, "test/nll": NaN}'
    )
    assert "NaN" in logged.read_text()
    _, *rows = [cells(line) for line in printed("lightning_logs/right/*", "lightning_logs")]
    assert [row[0] for row in rows[:3]] == ["right/version_0", "other/version_0", "wrong/version_0"]
    assert rows[2][-1] == "nan"
    assert ["wrong/version_0", "0", "3", "0.25"] in rows
    assert ["other/version_0", "tested on other images or classes"] in rows


def test_an_interval_has_only_possible_values(printed: Printed) -> None:
    """Student's t of two runs is so large that it would go beyond 100 %, and below a loss of 0."""
    for seed, (accuracy, other) in enumerate(((0.99, 0.0), (1.0, 0.9))):
        figures = {"test/accuracy": accuracy, "test/nll": 0.01 * seed}
        write_run(f"lightning_logs/sure/version_{seed}", config(seed), figures)
        write_run(f"lightning_logs/other/version_{seed}", config(seed, FAST), {**figures, "test/accuracy": other})
    header, *rows = map(cells, printed())
    assert [row[header.index("95 % interval")] for row in rows[:2]] == ["93.15 to 100.00", "0.00 to 100.00"]
    assert rows[-1][-2:] == ["-54.50 points", "-100.00 to +100.00"]
    header, row, *_ = map(cells, printed("--sort", "test/nll"))
    assert row[header.index("95 % interval")] == "0.0000 to 0.0685"


def test_settings_that_follow_from_a_class_have_no_column(printed: Printed) -> None:
    for place, (optimizer, momentum) in enumerate(((SGD, 0.9), (ADAMW, 0.0))):
        assert momentum == optimizer["init_args"].get("momentum", 0.0)
        write_run(f"lightning_logs/try/version_{place}", config(optimizer=optimizer), {"test/accuracy": 0.5})
    header, *rows = map(cells, printed())
    assert header == ["run", "model.optimizer", "model.optimizer.lr", "seeds", "test/accuracy"]
    assert [row[1:3] for row in rows] == [["SGD", "0.1"], ["AdamW", "0.005"]]
    settings = config(optimizer=SGD, data_dir="elsewhere", workers=7)
    settings["model"]["optimizer"]["init_args"] = {**SGD["init_args"], "momentum": 0.5}
    callback = {"class_path": "project.callbacks.AveragedWeights", "init_args": {"decay": 0.9}}
    settings["trainer"]["callbacks"] = [callback]
    write_run("lightning_logs/try/version_2", settings, {"test/accuracy": 0.5})
    header = cells(printed()[0])
    assert {"trainer.callbacks", "model.optimizer.momentum", "data.data_dir"} <= set(header)
    assert "data.workers" not in header


def test_words(printed: Printed, error: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (0, 1, 2, 10):
        settings = config(batch_size=100 + place)
        write_run(f"lightning_logs/mlp/version_{place}", settings, {"test/accuracy": 0.5})
    shutil.move("lightning_logs/mlp/version_2", "renamed")
    Path("lightning_logs/benchmarks").mkdir()
    Path("lightning_logs/benchmarks/seeds.json").write_text("{}")

    def names(*words: str) -> list[str]:
        return [cells(line)[0].rpartition("/")[2] for line in printed(*words) if "/" in line.split()[0]]

    every = ["version_0", "version_1", "version_10"]
    for word in ("mlp", "lightning_logs", "lightning_logs/mlp/", "lightning_logs/*/version_*", "lightning_log*", "**"):
        assert [name for name in names(word) if name != "renamed"] == every, word
    assert names("renamed", "mlp", "lightning_logs/mlp/version_1") == ["renamed", *every]
    assert set(names(".")) == {"renamed", *every}
    monkeypatch.chdir("lightning_logs/mlp/version_1")
    assert names(".", "../version_0") == ["version_1", "version_0"]
    monkeypatch.chdir("../../..")
    remedy = "no run is there; name a run directory, a folder with runs, or an experiment"
    for word in ("nowhere", "lightning_logs/mlp/version_7", "lightning_logs/mpl/*"):
        assert error("compare", "mlp", word) == f"{word}: {remedy}"
    assert error("compare", "lightning_logs/benchmarks") == (
        "lightning_logs/benchmarks: no run is there; train one first, or name a run directory"
    )
    assert error("compare", "").startswith("an empty path: name a run directory")
    assert error("compare", "renamed/config.yaml").startswith("renamed/config.yaml: it is a file")


@pytest.mark.usefixtures("two_groups")
def test_where_and_sort(printed: Printed, error: Callable[..., str]) -> None:
    def labels(*words: str) -> list[str]:
        return [group.label for group in compare(["lightning_logs"], words).groups]

    write_run("lightning_logs/sgd/version_0", config(7, SGD, batch_size=300), {"test/accuracy": 0.8, "test/nll": 0.3})
    fast, slow, sgd = "fast/version_0-3", "slow/version_0-3", "sgd/version_0"
    assert labels() == [fast, slow, sgd]
    assert labels("model.optimizer=AdamW") == [fast, slow]
    assert labels("--model.optimizer = torch.optim.AdamW", "model.optimizer.lr<=0.005") == [slow]
    assert labels("model.optimizer!=AdamW") == labels("data.batch_size>125") == labels("seed_everything=7") == [sgd]
    assert labels("test/accuracy>=92%") == ["fast/version_0-3", "slow/version_1-2"]
    assert labels("model.compile=false", "model.optimizer.lr=1e-2") == [fast]
    assert labels("model.optimizer.momentum>0.5") == [sgd]
    assert labels("data.classes=null") == [fast, slow, sgd]
    assert compare(["lightning_logs"], order="model.optimizer.lr").groups[-1].label == sgd
    assert compare(["lightning_logs"], order="test/nll").main == "test/nll"
    assert "left out by --where: 8 runs" in printed("--where", "data.batch_size>125")
    assert "left out by --where: 1 run" in printed("--where", "data.batch_size=125")
    for words, line in {
        "--where model.optimiser=SGD": "no run has model.optimiser; did you mean model.optimizer?",
        "--where batch_size>1": "no run has batch_size; did you mean data.batch_size?",
        "--where data.batch_size": "give a name, one of = != < <= > >=, and a value: 'data.batch_size>100'",
        "--where data.batch_size>many": "many is no number; give a number, or compare by = or !=",
        "--where model.optimizer>3": "model.optimizer is AdamW here, which is no number; compare it by =",
        "--where model.optimizer=Adam": "no run is so; model.optimizer is AdamW, SGD",
        "--sort test/acuracy": "no run has test/acuracy; did you mean test/accuracy?",
        "--baseline nowhere": f"no such finished run is compared; name one of {fast}, {slow}, {sgd}",
        "--html a.txt": "give a name that ends in .html",
        "--csv nowhere/a.csv": "there is no directory nowhere; make it, or name another",
    }.items():
        assert error("compare", *words.split()) == f"{words}: {line}"


def test_a_terminal_folds_names_at_their_dots(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, weight_decay in enumerate((0.05, 0.1)):
        optimizer = {**ADAMW, "init_args": {**ADAMW["init_args"], "weight_decay": weight_decay}}
        figures = {"test/accuracy": 0.5, "train_seconds": 1}
        write_run(f"lightning_logs/[b]/version_{place}", config(optimizer=optimizer), figures)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in printed()]
    assert max(map(len, lines)) <= 60
    assert [line.split() for line in lines[1:4]] == [
        ["optimizer."],
        ["weight_", "test/", "train_"],
        ["run", "decay", "seeds", "accuracy", "seconds"],
    ]
    assert any(cells(line)[0] == "[b]/version_0" for line in lines)
    monkeypatch.setenv("COLUMNS", "45")
    assert "too wide for this terminal: train_seconds; --csv" in " ".join(printed())


def test_real_runs_without_torch(digits: Callable[..., list[str]]) -> None:
    for seed in (0, 1):
        main(["fit", *digits(), "--trainer.max_steps", "2", "--seed_everything", str(seed)])
    other = Path(shutil.copytree("lightning_logs/mlp/version_0", "lightning_logs/mlp/version_2"))
    settings = (other / "config.yaml").read_text()
    (other / "config.yaml").write_text(settings.replace("callbacks: null\n", "callbacks:\n  - class_path: a.Mine\n"))
    code = "import sys; from project.cli.main import main; main(); print('torch' in sys.modules)"
    words = [sys.executable, "-c", code, "compare", "mlp", "--html", "a.html", "--csv", "a.csv"]
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": ""}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    lines = done.stdout.splitlines()
    rows = [line for line in lines if line.startswith("mlp/version_")]
    assert lines[-1] == "False"
    assert {cells(row)[0] for row in rows} == {"mlp/version_0-1", "mlp/version_2"}
    assert cells(lines[0])[:3] == ["run", "trainer.callbacks", "seeds"]
    assert "test ensemble" in lines[0]
    answers, results = read_answers([other]), read_results(other)
    assert isinstance(answers, Answers)
    assert results is not None
    assert answers.accuracy == pytest.approx(results["test/accuracy"])
