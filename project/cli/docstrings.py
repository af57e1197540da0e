"""Texts for people, taken from the docstrings of classes and of their arguments."""

import inspect
import re

from docstring_parser import parse


def summary(kind: type) -> str:
    """The first sentence of the docstring of `kind` or of its __init__; empty if neither has one."""
    text = kind.__doc__ or getattr(vars(kind).get("__init__"), "__doc__", None) or ""
    paragraph = inspect.cleandoc(text).partition("\n\n")[0]
    return re.split(r"(?<=\.)\s+(?=[A-Z])", plain_text(paragraph))[0].rstrip(".:")


def argument_text(kind: type, argument: str) -> str:
    """What the docstring of the class or of its __init__ says about an argument; empty if nothing."""
    for base in kind.__mro__:
        for documented in (base, base.__init__):  # type: ignore[misc]
            for entry in parse(documented.__doc__ or "").params:
                if entry.arg_name == argument and entry.description:
                    return plain_text(entry.description)
    return ""


def plain_text(text: str) -> str:
    """One line without the roles, quotation marks and references of reStructuredText."""
    text = re.sub(r":[\w:]+:`~?(?:[\w.]*\.)?([^`<]+?)(?:\s*<[^>]*>)?`", r"\1", text)
    text = re.sub(r"`([^`<]+?)\s*<[^>]*>`_+", r"\1", text)
    text = re.sub(r"\\text\{(.*?)\}", r"\1", text).replace("\\leq", "<=")
    return " ".join(re.sub(r"`+_?", "", text).split())
