"""Which runs compare pools, and what it computes of figures that are not finite or missing."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from project.cli.main import main
from project.compare.comparison import compare
from project.compare.runs import read_run
from project.compare.statistics import summarise
from tests.compare.runs import config, write_run

ABSENT = object()


def classes(*parts: tuple[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"class_path": path, "init_args": options} for path, options in parts]


def stops(*patiences: int) -> list[dict[str, Any]]:
    return classes(*(("lightning.EarlyStopping", {"patience": patience}) for patience in patiences))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (1, 1.0),
        (1, True),
        (1.0, True),
        (1, "1"),
        (1.0, "1.0"),
        (1e-05, "1e-05"),
        (True, "True"),
        (None, "null"),
        (None, ABSENT),
        (math.nan, "nan"),
        (math.nan, None),
        (math.inf, "inf"),
        ({}, None),
        ({}, ABSENT),
        ([], "[]"),
        ([], None),
        ([1, 2], "[1, 2]"),
        ([1], [True]),
        ([1], [1.0]),
        ([[1, 2], [3]], [[1], [2, 3]]),
        ({1: 2}, {"1": 2}),
        ({"a.b": 1}, {"a": {"b": 1}}),
        ({0.5: 1}, {0: {5: 1}}),
        ({"init_args": {"a": 1}}, {"a": 1}),
        (stops(1, 5), stops(3, 5)),
        (stops(1, 5), stops(5, 1)),
        (stops(5), stops(5, 5)),
        ([stops(1, 5)], [stops(3, 5)]),
        (classes(("mine.Net", {})), classes(("other.Net", {}))),
        (classes(("mine.Net", {})), classes(("other.Net", {}), ("mine.Net", {}))),
        (classes(("a.All", {"parts": stops(1, 5)})), classes(("a.All", {"parts": stops(3, 5)}))),
        (classes(("a.B", {}))[0], "a.B"),
        ([{"class_path": "a.B", "dict_kwargs": {"x": 1}}], [{"class_path": "a.B", "dict_kwargs": {"x": 2}}]),
        ({"class_path": "a.B", "dict_kwargs": {"x": 1}}, {"class_path": "a.B", "init_args": {"x": 1}}),
    ],
)
def test_different_settings_are_different_groups(first: Any, second: Any) -> None:
    for place, value in enumerate((first, second, first)):
        settings = config(seed=place, **({} if value is ABSENT else {"mine": value}))
        write_run(f"lightning_logs/try/version_{place}", settings, {"test/accuracy": 0.5})
    comparison = compare(["lightning_logs"])
    assert sorted(group.label for group in comparison.groups) == ["try/version_0,2", "try/version_1"]
    assert comparison.settings
    assert all(name.startswith("data.mine") for name in comparison.settings)


def test_classes_of_the_same_name(capsys: pytest.CaptureFixture[str]) -> None:
    for place, module in enumerate(("mine", "other")):
        settings = config(place)
        settings["model"]["network"] = {"class_path": f"{module}.Net"}
        settings["trainer"]["callbacks"] = stops(*((1, 5) if place else (3, 5)))
        write_run(f"lightning_logs/try/version_{place}", settings, {"test/accuracy": 0.5 + place / 4})
    main(["compare"])
    header, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header[1:3] == ["trainer.callbacks.EarlyStopping.patience", "model.network"]
    assert [row[1:3] for row in rows[:2]] == [["1", "other.Net"], ["3", "mine.Net"]]
    for condition, label in {
        "model.network=Net": "try/version_0-1",
        "model.network=mine.Net": "try/version_0",
        "model.network!=mine.Net": "try/version_1",
        "model.optimizer=torch.optim.AdamW": "try/version_0-1",
        "model.optimizer!=mine.AdamW": "try/version_0-1",
        "trainer.callbacks.EarlyStopping.patience=3": "try/version_0",
    }.items():
        runs = {run.label for run in compare(["lightning_logs"], [condition]).runs}
        assert runs == ({"try/version_0", "try/version_1"} if label.endswith("0-1") else {label})


def test_conditions_of_text_that_looks_like_a_number() -> None:
    for place, value in enumerate((1, "1")):
        write_run(f"lightning_logs/try/version_{place}", config(mine=value), {"test/accuracy": 0.5})
    for condition, label in {"data.mine=1": "try/version_0", "data.mine='1'": "try/version_1"}.items():
        assert [run.label for run in compare(["lightning_logs"], [condition]).runs] == [label]


@pytest.mark.parametrize("values", [[0.91, 0.93, 0.92, 0.9], [1e200, 3e200], [1e-200, 3e-200], [0.3, 0.3], [0, 0], [7]])
def test_mean_and_deviation(values: list[float]) -> None:
    summary = summarise(values)
    scale = 1e200 if max(values) > 1e100 else 1e-200 if 0 < max(values) < 1e-100 else 1
    scaled = np.array(values) / scale
    assert summary.mean / scale == pytest.approx(scaled.mean())
    assert (summary.deviation is None) == (len(values) == 1)
    if summary.deviation is not None:
        assert summary.deviation / scale == pytest.approx(scaled.std(ddof=1))


@pytest.mark.parametrize(
    "values",
    [
        [math.nan, 1],
        [math.inf, 1],
        [math.inf, -math.inf],
        [sys.float_info.max, -sys.float_info.max],
        [sys.float_info.max, sys.float_info.max],
        [5e-324, 0],
        [-1e200, 3e200],
        [10**300, 1],
        [10**308, 10**307],
    ],
)
def test_no_figures_end_in_a_traceback(values: Sequence[float]) -> None:
    for place, value in enumerate(values):
        for name, batch_size in (("small", 1), ("large", 2)):
            figures = {"test/accuracy": value, "test/loss": value, "val/accuracy": value * (1 - place)}
            curve = (value, -value, values[0])
            settings = config(place, batch_size=batch_size)
            write_run(f"lightning_logs/{name}/version_{place}", settings, figures, validation=curve)
    main(["compare", "--html", "page.html", "--csv", "runs.csv"])


def test_a_figure_that_is_not_finite_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    for place, figures in enumerate(
        ({"test/accuracy": 0.5, "test/loss": 1.5}, {"test/accuracy": math.nan, "test/loss": 2.5}, {"test/loss": 3.5})
    ):
        write_run(f"lightning_logs/try/version_{place}", config(place), {**figures, "steps": 3})
    main(["compare", "--sort", "test/loss"])
    printed = capsys.readouterr().out
    assert "2.5000 ± 1.0000" in printed
    assert "± nan" not in printed
    assert "try/version_2 has no test/accuracy: try/version_0-2 has no mean of it" in printed
    main(["compare", "--where", "test/loss<3"])
    printed = capsys.readouterr().out
    assert "± nan" not in printed
    assert "try/version_1 has test/accuracy nan: try/version_0-1 has no mean of it" in printed


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "it has no figures"),
        ('{"checkpoint": "best.ckpt"}', "it has no figures"),
        ('{"test/accuracy": "high", "steps": 3}', 'its test/accuracy is "high", which is no number'),
        ('{"test/accuracy": true}', "its test/accuracy is true, which is no number"),
        ('{"test/accuracy": [1]}', "its test/accuracy is [1], which is no number"),
    ],
)
def test_damaged_results_leave_the_group_its_figures(
    text: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(3):
        write_run(f"lightning_logs/try/version_{seed}", config(seed), {"test/accuracy": 0.5 + seed / 4})
    Path("lightning_logs/try/version_1/results.json").write_text(text)
    main(["compare"])
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("try/version_0,2") and "75.00 ± 35.36 %" in line for line in lines)
    assert any(
        line.startswith("try/version_1 ") and line.endswith(f"broken: results.json: {problem}") for line in lines
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("trainer: 5\nmodel: 6\ndata: 7\nckpt_path: null\n", "its trainer is 5: it is of another project"),
        ("trainer: {a: 5}\nmodel: 6\ndata: {a: 7}\nckpt_path: null\n", "its model is 6: it is of another project"),
        ("trainer: {a: 5}\nmodel: {}\ndata: {a: 7}\nckpt_path: null\n", "its model is {}: it is of another project"),
        ("trainer: 5\nmodel: 6\n", "it has no data: it is cut, or of another project"),
    ],
)
def test_settings_without_options_are_broken(text: str, problem: str) -> None:
    run = write_run("try/version_0", figures={"test/accuracy": 0.9})
    (run / "config.yaml").write_text(text)
    assert read_run(run).state == f"broken: config.yaml: {problem}"


def test_a_change_of_a_class_of_the_same_name_is_a_change(capsys: pytest.CaptureFixture[str]) -> None:
    for place in range(2):
        run = write_run(f"lightning_logs/try/version_{place}", config(place), {"test/accuracy": 0.5})
        if place:
            (run / "config-2.yaml").write_text((run / "config.yaml").read_text().replace("project.networks", "mine"))
    main(["compare"])
    assert "model.network project.networks.ConvNet -> mine.ConvNet" in capsys.readouterr().out
