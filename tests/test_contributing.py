"""The examples of CONTRIBUTING.md work as they stand there, from files in the current directory."""

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from project.cli.main import main
from tests.conftest import REPOSITORY

GUIDE = (REPOSITORY / "CONTRIBUTING.md").read_text()
FILES = {
    path: textwrap.dedent(code)
    for path, code in re.findall(r"Write `([\w/]+\.py)`[^`]*?(?:`[^`\n]+`[^`]*?)*```python\n(.*?)```", GUIDE, re.DOTALL)
}


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """Write the example's file into the current directory, and run the code of its test, if there is one."""

    def write(path: str, test: str = "") -> dict[str, Any]:
        module = Path(path).name
        Path(module).write_text(FILES[path])
        names: dict[str, Any] = {}
        short = re.search(r"^class (\w+)", FILES[path], re.MULTILINE)
        assert short
        full = f"{Path(path).stem}.{short[1]}"
        exec(re.sub(rf'"((?:--trainer.callbacks\+=)?){short[1]}"', rf'"\1{full}"', FILES.get(test, "")), names)
        return names

    return write


def test_each_example_is_found() -> None:
    assert len(FILES) == 5


def test_network(example: Callable[..., dict[str, Any]], digits: Callable[..., list[str]]) -> None:
    example("project/networks/tiny.py")
    words = ["--name", "tiny", "--model.network", "tiny.Tiny", "--model.network.width"]
    result = main(["fit", *digits("convnet"), *words, "32", "--trainer.max_steps", "3"])
    assert result.directory == Path("lightning_logs/tiny/version_0")
    with pytest.raises(SystemExit, match="2"):
        main(["fit", *digits("convnet"), *words, "0"])


def test_data_set(example: Callable[..., dict[str, Any]]) -> None:
    example("project/data/sets/mine.py", "tests/data/test_mine.py")["test_mine"]()


def test_callback(example: Callable[..., dict[str, Any]], digits: Callable[..., list[str]]) -> None:
    names = example("project/callbacks/weight_norm.py", "tests/callbacks/test_weight_norm.py")
    names["test_weight_norm"](digits)
