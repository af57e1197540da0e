"""Fixtures of the benchmarks' tests."""

import importlib
import importlib.util
from types import ModuleType

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture
def benchmark_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark", REPOSITORY / "scripts/benchmark.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
