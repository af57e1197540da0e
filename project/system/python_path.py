"""Directories in which Python finds modules of the user's own."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def importable(directories: Iterable[Path]) -> Iterator[None]:
    """Let Python find modules in these directories too, after all others."""
    added = [name for name in dict.fromkeys(map(str, directories)) if name not in sys.path]
    sys.path.extend(added)
    try:
        yield
    finally:
        for name in added:
            sys.path.remove(name)
