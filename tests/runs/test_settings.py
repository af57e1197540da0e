"""Settings as one level, from which nothing is lost: in HPARAMS, in the lines of a resumed run, and for other seeds."""

from copy import deepcopy
from pathlib import Path

from project.callbacks.run_directory import _differences
from project.runs.seeds import runs_of_other_seeds
from project.runs.settings import flatten, shown_settings
from tests.compare.runs import config, write_run


def test_hparams_have_short_names_of_known_classes_alone() -> None:
    settings = config(transforms=[{"class_path": "torchvision.transforms.v2.RandomErasing", "init_args": {"p": 0.5}}])
    settings["model"]["network"] = {"class_path": "mine.Net", "init_args": {"text": "32", "width": 32, "none": None}}
    shown = shown_settings(settings)
    assert shown["model.network"] == "mine.Net"
    assert shown["model.optimizer"] == "AdamW"
    assert (shown["model.network.text"], shown["model.network.width"]) == ("32", 32)
    assert shown["data.transforms"] == "RandomErasing"
    assert shown["data.transforms.RandomErasing.p"] == 0.5
    assert "model.network.none" not in shown
    assert all(type(value) in (bool, int, float, str) for value in shown.values())


def test_the_same_class_twice_in_a_list() -> None:
    stops = [{"class_path": "lightning.EarlyStopping", "init_args": {"patience": number}} for number in (1, 5)]
    flat = flatten({"callbacks": stops})
    assert flat == {
        "callbacks": "lightning.EarlyStopping, lightning.EarlyStopping",
        "callbacks.EarlyStopping.patience": 1,
        "callbacks.EarlyStopping-2.patience": 5,
    }


def test_all_changes_of_a_resumed_run_are_printed() -> None:
    before = "trainer: {limit_train_batches: 1, a: true}\nnetwork: {class_path: mine.Net}\nold: 3\nnone: null\n"
    after = "trainer: {limit_train_batches: 1.0, a: 1}\nnetwork: {class_path: other.Net}\nnew: null\n"
    assert list(_differences(before, after)) == [
        "network: mine.Net -> other.Net",
        "old: 3 -> null",
        "trainer.a: True -> 1",
        "trainer.limit_train_batches: 1 -> 1.0",
    ]


def test_runs_of_other_seeds_have_the_same_settings() -> None:
    for place, batches in enumerate((1.0, 1, 1.0, 1.0)):
        settings = deepcopy(config(seed=place))
        settings["trainer"]["limit_train_batches"] = batches
        write_run(f"try/version_{place}", settings, {"test/accuracy": 0.5})
    found = runs_of_other_seeds(Path("try/version_0"))
    assert sorted(run.name for run in found) == ["version_0", "version_2", "version_3"]
