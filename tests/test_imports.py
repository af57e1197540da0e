"""The rooms of the package import each other in one direction only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

# What a room may import besides itself.
MAY_IMPORT = {
    "system": set(),
    "optim": {"system"},
    "pictures": set(),
    "checkpoints": {"system"},
    "data": {"system"},
    "networks": {"system", "checkpoints", "data"},
    "runs": {"system", "checkpoints", "data"},
    "compare": {"system", "runs"},
    "search": {"system", "runs", "compare", "pictures"},
    "use": {"system", "optim", "checkpoints", "data", "networks", "runs"},
    "inspection": {"system", "data", "use", "pictures"},
    "training": {"system", "optim", "checkpoints", "data", "networks"},
    "callbacks": {"system", "optim", "checkpoints", "data", "networks", "runs", "training", "pictures"},
}
MAY_IMPORT["cli"] = set(MAY_IMPORT)
NOT_IMPORTED = {"benchmarks", "figures"}  # they may import every room
ROOMS = {path.name: path for path in (REPOSITORY / "project").iterdir() if (path / "__init__.py").exists()}


def imported_rooms(room: Path) -> Iterator[tuple[str, str]]:
    """Each file of a room with a room that it imports."""
    for file in room.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{name}" for name in names]
            for name in names:
                if name.startswith("project."):
                    yield file.name, name.split(".")[1]


def test_each_room_is_known() -> None:
    assert set(ROOMS) == {*MAY_IMPORT, *NOT_IMPORTED}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_downwards(room: str) -> None:
    allowed = MAY_IMPORT[room] | {room}
    assert [(file, other) for file, other in imported_rooms(ROOMS[room]) if other not in allowed] == []


def test_at_most_two_modules_stand_beside_the_rooms() -> None:
    loose = [path.name for path in (REPOSITORY / "project").glob("*.py") if path.name != "__init__.py"]
    assert len(loose) <= 2
