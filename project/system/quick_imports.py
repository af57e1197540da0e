"""Imports of large packages in less time."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Run the block without Python's search for garbage, such as imports.

    A module's objects stay, so that the search finds nothing; it takes a fifth of the time that torch and Lightning do.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def postpone_scipy_signal() -> None:
    """Import scipy.signal when a name of it is first used.

    torchmetrics (1.9, which Lightning imports) imports it wherever SciPy is installed, asks whether it has a name, and
    uses it in metrics of sound alone. It takes 0.6 s and 60 MB.
    """
    if "scipy.signal" not in sys.modules and find_spec("scipy") and (spec := find_spec("scipy.signal")):
        module = sys.modules[spec.name] = _Postponed(spec.name)
        vars(module).update(vars(module_from_spec(spec)))  # __path__, so that its submodules are found
        vars(module)["hamming"] = None  # torchmetrics adds this name of old releases if it is missing


class _Postponed(ModuleType):
    """Stands for a module in sys.modules, until a name is used that it does not have."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)
