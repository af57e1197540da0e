"""A whole search: a worker that is stopped, a trial that fails, and the best settings as an overlay."""

from collections.abc import Callable
from pathlib import Path

import pytest

from project.benchmarks.comparison import differences
from project.cli.main import main
from project.search.worker import Worker

STUDY = Path("lightning_logs/mlp-search")
# The first trial has the default, which is not the first of the choices.
SPACE = "model.network.fails_at: {choice: [5, 1000]}\n"
NETWORK = """from project.networks import MLP

class Failing(MLP):
    def __init__(self, num_classes: int, fails_at: int = 1000):
        super().__init__(num_classes, hidden=[16])
        self.calls, self.fails_at = 0, fails_at

    def forward(self, images):
        self.calls += 1
        if self.calls == self.fails_at:
            raise RuntimeError("no more")
        return super().forward(images)
"""


def test_stopped_and_failed_trials(
    digits: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("space.yaml").write_text(SPACE)
    Path("mine").mkdir()
    Path("mine/own.py").write_text(NETWORK)
    Path("mine/own.yaml").write_text("model: {network: {class_path: own.Failing}}")
    words = [*digits("mlp", 2), "--config", "mine/own.yaml"]
    search = ["search", *words, "--space", "space.yaml", "--keep", "1"]
    with monkeypatch.context() as patched:
        patched.setattr(Worker, "_report", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(SystemExit) as stopped:
            main(search)
    assert stopped.value.code == 130
    assert "trial 0 is not finished; the same command goes on with it" in capsys.readouterr().out
    assert (STUDY / "version_0/checkpoints/last.ckpt").exists()
    assert not (STUDY / "version_0/results.json").exists()

    result = main(search)
    printed = capsys.readouterr().out
    assert "trial 0: val/accuracy 9" in printed
    assert "failed (--model.network own.Failing: no more (own.py, line 11))" in printed
    assert "0 left" in printed
    assert result.figures["model.network.fails_at"] == 1000
    assert result.directory == STUDY
    assert (STUDY / "version_0/config-2.yaml").exists()  # it went on
    assert [path.parents[1].name for path in STUDY.glob("*/checkpoints/best.ckpt")] == ["version_0"]

    main(["fit", *words, "--config", str(STUDY / "best.yaml"), "--trainer.limit_test_batches", "0"])
    assert differences(Path("lightning_logs/mlp/version_0"), STUDY / "version_0") == []


def test_an_unknown_option_and_an_objective_that_nothing_measures(
    digits: Callable[..., list[str]], error: Callable[..., str]
) -> None:
    words = ["search", *digits(), "--space", "space.yaml"]
    Path("space.yaml").write_text("model.optimizer.learning_rate: {log: [0.001, 0.1]}")
    line = "--space space.yaml: --model.optimizer.learning_rate: AdamW has no such option"
    assert error(*words).startswith(line)
    Path("space.yaml").write_text("model.optimizer.lr: {log: [0.001, 0.1]}\nobjective: val/acuracy")
    assert "no validation measures it; give val/accuracy" in error(*words)
    assert not Path("lightning_logs/mlp-search").exists()
