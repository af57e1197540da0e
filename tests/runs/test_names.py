"""What runs are called, and that a run is found by its name, its settings, and where it was moved to."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from project.benchmarks.comparison import differences
from project.cli.main import main
from project.training.classifier import Classifier
from tests.conftest import STEPS

ROOT = Path("lightning_logs")


def listing() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("*/*"))


def stop_in_the_middle(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def step(self: Classifier, batch: object, batch_idx: int, original: object = Classifier.training_step) -> object:
        if self.global_step == STEPS + 5:
            raise KeyboardInterrupt
        return original(self, batch, batch_idx)  # type: ignore[operator]

    with monkeypatch.context() as patched:
        patched.setattr(Classifier, "training_step", step)
        with pytest.raises(KeyboardInterrupt):
            main(["fit", *words])


def test_name(
    digits: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    finished_run: Callable[..., None],
) -> None:
    words = digits(epochs=2)
    finished_run(2)
    stop_in_the_middle([*words, "--name", "wide-2"], monkeypatch)
    assert listing() == ["mlp/version_0", "wide-2/version_0"]
    main(["fit", *words, "--name", "wide-2", "--ckpt_path", "last"])
    assert listing() == ["mlp/version_0", "wide-2/version_0"]
    assert differences(ROOT / "mlp/version_0", ROOT / "wide-2/version_0") == []
    main(["fit", "--config", str(ROOT / "wide-2/version_0/config.yaml"), "--trainer.max_epochs", "1"])
    assert listing() == ["mlp/version_0", "wide-2/version_0", "wide-2/version_1"]
    capsys.readouterr()
    for run, named in (("mlp/version_0", []), ("wide-2/version_1", ["--name", "wide-2"])):
        for command in ("test", "validate", "predict"):
            main([command, *words, *named, "--ckpt_path", "best"])
        results = json.loads((ROOT / run / "results.json").read_text())
        printed = capsys.readouterr().out
        for name in ("test/accuracy", "val/accuracy"):
            assert f"{name} {100 * results[name]:.2f} %" in printed
        assert str(ROOT / run / "checkpoints/best.predictions.csv") in printed


def test_a_name_stands_above_a_runs_own(digits: Callable[..., list[str]], error: Callable[..., str]) -> None:
    main(["fit", *digits(), "--name", "first"])
    own = ["--config", str(ROOT / "first/version_0/config.yaml")]
    main(["fit", *own, "--name=second", "--trainer.max_steps", "2"])
    assert listing() == ["first/version_0", "second/version_0"]
    assert "no run in lightning_logs/third" in error("fit", *own, "--name", "third", "--ckpt_path", "last")
    main(["fit", *own, "--name", "second", "--trainer.max_epochs", "2", "--ckpt_path", "last"])
    assert json.loads((ROOT / "second/version_0/results.json").read_text())["epochs"] == 2


def test_name_in_a_file(digits: Callable[..., list[str]]) -> None:
    Path("mine.yaml").write_text("name: größer_2.0\ntrainer: {max_steps: 1}\n")
    main(["fit", *digits(), "--config", "mine.yaml"])
    assert listing() == ["größer_2.0/version_0"]


ODD = ["", ".", "..", "../x", "a/b", "/x", "-x", ".x", "a b", "a\n", "x" * 61, "a\\b", "~a", "*", "${HOME}", "[a]"]


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_odd_names(digits: Callable[..., list[str]], error: Callable[..., str], name: str) -> None:
    commands = ["fit"], ["fit", "--ckpt_path", "last"], ["test", "--ckpt_path", "best"]
    command, *words = commands[ODD.index(name) % 3]
    line = error(command, *digits(), *words, f"--name={name}")
    assert line.startswith("--name ")
    assert "give the name of one directory" in line or line == "--name '': give a value, or leave it out"
    assert not ROOT.exists()


def test_a_file_has_the_name(digits: Callable[..., list[str]], error: Callable[..., str]) -> None:
    ROOT.mkdir()
    (ROOT / "notes").touch()
    assert (
        error("fit", *digits(), "--name", "notes") == "--name notes: lightning_logs/notes is a file; give another name"
    )


def test_a_run_that_was_renamed(
    digits: Callable[..., list[str]],
    finished_run: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    finished_run(2)
    stop_in_the_middle(digits(epochs=2), monkeypatch)
    stopped = (ROOT / "mlp/version_1").rename("stopped")
    for number, place in enumerate(("lightning_logs/mlp/good", "elsewhere/moved_version", "moved_version"), 1):
        moved = Path(shutil.copytree(stopped, place))
        own = ["--config", str(moved / "config.yaml")]
        main(["fit", *own, "--ckpt_path", "last"])
        assert f"continuing {moved} after" in capsys.readouterr().out
        assert differences(ROOT / "mlp/version_0", moved) == []
        results = json.loads((moved / "results.json").read_text())
        for name in ("best", "last"):
            main(["test", *own, "--ckpt_path", name])
        assert f"test/accuracy {100 * results['test/accuracy']:.2f} %" in capsys.readouterr().out
        main(["fit", *own, "--trainer.max_epochs", "1", "--trainer.max_steps", "1"])
        assert (ROOT / f"mlp/version_{number}/results.json").exists()


def test_in_the_runs_own_directory(finished_run: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    finished_run()
    monkeypatch.chdir(ROOT / "mlp/version_0")
    for path in ("config.yaml", "checkpoints/../config.yaml"):
        main(["test", "--config", path, "--ckpt_path", "best"])
    monkeypatch.chdir("checkpoints")
    main(["test", "--config", "../config.yaml", "--ckpt_path", "best"])


def test_settings_without_their_run(finished_run: Callable[..., None], error: Callable[..., str]) -> None:
    finished_run()
    Path("kept").mkdir()
    shutil.copy(ROOT / "mlp/version_0/config.yaml", "kept")
    for command, name in (("fit", "last"), ("fit", "best"), ("test", "best")):
        line = error(command, "--config", "kept/config.yaml", "--ckpt_path", name)
        assert line.startswith(f"--ckpt_path {name}: ")
        assert "no run in lightning_logs/config" in line
        assert line.endswith("name a run with --config lightning_logs/<experiment>/version_<n>/config.yaml")
    assert yaml.safe_load(Path("kept/config.yaml").read_text())["name"] is None
