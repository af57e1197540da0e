"""The settings of runs as one level of names and values, from which nothing is lost. Reading them needs no torch."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

STANDARD = ("project", "torch", "torchvision", "lightning")  # packages whose classes are known by their names alone


class ClassPath(str):
    """The path of a class, or those of several, as `torch.optim.AdamW, mine.Net`; perhaps shown without modules."""

    path: str

    def __new__(cls, path: str, shown: str | None = None) -> Self:
        text = super().__new__(cls, path if shown is None else shown)
        text.path = path
        return text

    @property
    def parts(self) -> list[str]:
        """The path of each class."""
        return self.path.split(", ")


def class_name(path: str) -> str:
    """The name without its module."""
    return path.rpartition(".")[2]


def flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level of numbers, truth values and text, named as on the command line.

    Different settings stay different. Null is the text null. A list of classes is their paths, with the options of each
    class; the second of two classes of the same name has the name Name-2. Text that could be read as another value is
    in quotes, as '1' is.
    """
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        option = prefix + _key(name)
        if name == "class_path":
            flat[prefix.removesuffix(".")] = ClassPath(str(value))
        elif isinstance(value, dict) and value:
            flat |= flatten(value, prefix if name == "init_args" and "class_path" in settings else f"{option}.")
        elif _is_list_of_classes(value):
            flat[option] = ClassPath(", ".join(str(part["class_path"]) for part in value))
            flat |= _options(value, f"{option}.")
        elif not (value == {} and name == "init_args" and "class_path" in settings):
            flat[option] = plain_value(value)
    return flat


def plain_value(value: Any) -> bool | int | float | str:
    """A number, a truth value or text, which is not the same for any two values."""
    if value is None:
        return "null"
    if isinstance(value, float) and math.isnan(value):
        return "nan"  # text, since nan is not equal to itself
    if isinstance(value, str):
        return f"'{value}'" if _is_like_another_value(value) else value
    return value if isinstance(value, bool | int | float) else str(value)


def exact(value: Any) -> tuple[type, Any]:
    """A value that is equal for equal settings alone, while in Python true, 1 and 1.0 are equal."""
    return type(value), value.path if isinstance(value, ClassPath) else value


def shown_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that tell experiments apart, named as on the command line, without those that are null.

    Classes of this project, torch and Lightning have their names alone, all others their paths.
    """
    trainer = {name: settings["trainer"][name] for name in ("max_epochs", "max_steps", "precision")}
    flat = flatten({"trainer": trainer, "model": settings["model"], "data": settings["data"]})
    shown = {name: _short(value) for name, value in flat.items() if value != "null"}
    return {**shown, "seed_everything": settings["seed_everything"]}


def _short(value: Any) -> Any:
    if isinstance(value, ClassPath):
        return ", ".join(class_name(path) if path.partition(".")[0] in STANDARD else path for path in value.parts)
    return value[1:-1] if isinstance(value, str) and value[:1] == "'" else value


def _is_list_of_classes(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(part, dict) and "class_path" in part for part in value)
    )


def _options(classes: list[dict[str, Any]], prefix: str) -> dict[str, Any]:
    """The options of the classes of a list."""
    flat: dict[str, Any] = {}
    numbers: Counter[str] = Counter()
    for part in classes:
        name = class_name(str(part["class_path"]))
        numbers[name] += 1
        option = name if numbers[name] == 1 else f"{name}-{numbers[name]}"
        options = flatten(part, f"{prefix}{option}.")
        del options[prefix + option]  # the class itself
        flat |= options
    return flat


def _key(name: Any) -> str:
    text = str(plain_value(name))
    return f"'{text}'" if "." in text else text


def _is_like_another_value(text: str) -> bool:
    if text[:1] in ("", "'", "[", "{") or text.lower() in ("null", "none", "true", "false"):
        return True
    try:
        float(text)
    except ValueError:
        return False
    return True
