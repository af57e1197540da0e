"""The README's commands are run as they stand there, on tiny data."""

import shlex
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from project.cli import main
from tests.conftest import REPOSITORY
from tests.test_configs import SMALL

README = (REPOSITORY / "README.md").read_text()
ARTICLE = (REPOSITORY / "docs/article.md").read_text()


def commands() -> list[list[str]]:
    """The words after `main.py` of each command in the README and the article's guide, once, in their order."""
    lines = (README + ARTICLE).replace("\\\n", " ").splitlines()
    once = dict.fromkeys(line for line in lines if "python scripts/main.py" in line)
    words = [shlex.split(line, comments=True) for line in once]
    return [line[line.index("scripts/main.py") + 1 :] for line in words]


def test_commands(cifar10_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("configs").symlink_to(REPOSITORY / "configs")
    assert len(commands()) >= 10
    for words in commands():
        epochs = "2" if "last" in words else "1"
        data = [] if "configs/data/digits.yaml" in words else ["--data.data_dir", str(cifar10_dir)]
        small = [*SMALL, "--trainer.max_epochs", epochs, "--trainer.limit_train_batches", "2"]
        if any(word == "--help" or word.endswith(".help") for word in words):
            data = small = []
        with suppress(SystemExit):  # --help and --print_config end so, and a mistake with its error line
            main([*words, *data, *small])
        assert "error:" not in capsys.readouterr().err, words


def test_figures_have_their_commands() -> None:
    for command in ("scripts/benchmark.py article", "scripts/benchmark.py seeds --config configs/mlp.yaml"):
        assert command in README


def test_workflow_runs_the_install_commands() -> None:
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/tests.yml").read_text())
    steps = [step.get("run") for step in workflow["jobs"]["readme"]["steps"]]
    assert [line for line in README.splitlines() if line.startswith("pip install -e")] == steps[2:]
