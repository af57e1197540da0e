"""Error lines: one line for each message of the parser and for each error that the user can mend."""

import importlib
import inspect
import re
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from pydoc import locate
from types import ModuleType
from typing import Any

import lightning
import torchvision
from jsonargparse import ArgumentParser, Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from torchvision.models import list_models

from project.cli.arguments import LISTS, as_given
from project.cli.classes import CLASSES, classes, nearest, nearest_option, option_names
from project.cli.commands import MODULES, PREDICT_IMAGES, TRAINER_COMMANDS
from project.cli.user_parts import describe_failure, place
from project.system.errors import UserError
from project.system.files import FULL_OR_CLOSED

# The types that the parser expects, without the value that it got.
OUT_OF_MEMORY = "out of memory|can't allocate memory|bad_alloc"  # of CUDA, torch on a CPU, C++
EXPECTED = re.compile(r"Expected (?:an? )?(.+?)(?:\. Got value.*)?$", re.MULTILINE)
PLAIN = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "dict": "a mapping, as in '{16: 0.5}'",
    "class": "a class",
    "Tensor": "a list of finite numbers, as in '[1, 0.5]'",
    **dict.fromkeys(("list", "tuple", "Iterable", "Sequence"), "a list, as in '[a, b]'"),
}
COMMAND_FIRST = (
    f"the command comes first, then its options: main.py {'|'.join([*TRAINER_COMMANDS, *MODULES])} --OPTION VALUE ..."
)


def explain(message: str, options: Iterable[str], words: Sequence[str]) -> str:
    """The parser's `message` as one line, with the nearest right name for a misspelt one.

    Args:
        message: Several lines, nested like the types.
        options: Every option of the command, dotted and without dashes.
        words: Of the command line; the line shows values as they are there.
    """
    option = ""
    for name in re.findall(r'Parser key "(.+?)"', message):  # a class in a list may repeat the last name
        option = option if option.endswith(f".{name}") else f"{option}.{name}".lstrip(".")
    if "before subcommand" in message or 'expected "subcommand"' in message:
        return COMMAND_FIRST
    if match := re.search(r"invalid choice: '(.+?)' \(choose from (.+)\)", message):
        near = _did_you_mean(nearest(match[1], re.findall(r"\w+", match[2])))
        return f"{match[1]}: no such command; {near or COMMAND_FIRST}"
    match = re.search(r"(?:Group '(.+?)'.+)?[Oo]ption '(.+?)'|unrecognized arguments: --([\w.]+)", message)
    name = ".".join(filter(None, match.groups())) if match else ""
    if match and f'Parser key "{name}"' not in message:  # else the class has it, and only the value is wrong
        return _unknown_option_message(message, option, name, options, words)
    if match := re.search(r"failed: (--.+)", message):  # of a link between options
        return match[1]
    if match := re.search(r"(?:class_path '(.+)':\s+)?the following arguments are required: (.+)", message):
        callable_class = re.search(r"Given value: Namespace\(class_path='(.+?)'", message)
        return _missing_message(option, match[1] or (callable_class and callable_class[1]), match[2])
    got = re.search(r"(?:Got|Given) value: (.+?)(?:\. Got value: .+)?$", message, re.MULTILINE)
    value = as_given(words, option, got[1] if got else "")
    return _class_message(message, option, value) or _type_message(message, option, value)


def user_message(error: Exception, options: Namespace | None = None) -> str:
    """The line for an error that the user can mend; empty for any other.

    Args:
        options: Of the command, once they are known; they name the part of the user's that has failed.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError) and error.errno in FULL_OR_CLOSED:
        return f"{error.filename or 'a file of the run'}: {error.strerror}; mend that, then resume"
    if isinstance(error, MemoryError) or re.search(OUT_OF_MEMORY, str(error)):
        size = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", str(error))
        problem = f"the memory is too small{f' for {size[1]} more' if size else ''}{place(error)}"
        return f"{problem}; give a smaller --data.batch_size, or a smaller network"
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError) and error.filename:
        return f"{error.filename}: {error.strerror}{place(error)}"
    if isinstance(error, SyntaxError):  # in a module of the user's own
        return f"{error.filename}, line {error.lineno}: {error.msg}"
    if match := re.match(r"(\S+) does not have a deterministic implementation", str(error)):
        return f"--trainer.deterministic true: torch has no deterministic {match[1]} here; give warn in place of true"
    if line := describe_failure(error, options):
        return line
    # The message of an error of Lightning's says more than its place.
    frames = traceback.extract_tb(error.__traceback__)
    raised_in = frames[-1].filename if frames else ""
    meant = isinstance(error, ValueError | RuntimeError | OSError | MisconfigurationException)
    if not meant or Path(lightning.__file__).parent not in Path(raised_in).parents:
        return ""
    known = inspect.signature(Trainer).parameters
    named = [f"--trainer.{word}: " for word in re.findall(r"\w+", str(error)) if word in known]
    return "".join(named[:1]) + _one_line(str(error))


def _missing_message(option: str, class_path: str | None, names: str) -> str:
    if class_path is None:
        names = re.sub(r"\b(fit|validate|test|predict)\.", "", names)
        return f"--{names} is missing; give it, or a file such as --config configs/convnet.yaml"
    kind = class_path.rpartition(".")[2]
    if option == "data.transforms":  # a list, whose classes get no options of their own on the command line
        arguments = ", ".join(f"{name.strip()}: ..." for name in names.split(","))
        return f"--{option} {kind}: write {{class_path: {kind}, init_args: {{{arguments}}}}} in its place"
    needed = " and ".join(f"--{option}.{name.strip()}" for name in names.split(","))
    hint = f"; a further one comes after these, by --{option}+=" if option in LISTS else ""
    return f"--{option} {kind}: needs {needed}, given after it{hint}"


def _type_message(message: str, option: str, value: str) -> str:
    """The line for a value that is not of the option's types."""
    kinds = [kind for kind in EXPECTED.findall(message) if "NoneType" not in kind and not kind.startswith("path but")]
    kinds += ["class"] * ("Not a valid subclass of" in message)
    kinds += [f"a whole number in place of {one}" for one in re.findall(r"invalid literal for int.*: (.+)", message)]
    plain = list(dict.fromkeys(_plain_type(kind) for kind in kinds))
    if "a number" in plain:
        plain = [kind for kind in plain if kind not in ("a class", "a whole number", PLAIN["Tensor"])]
    if any(kind.startswith("one of") for kind in plain):  # numbers that YAML reads are among them
        plain = [kind for kind in plain if kind != "a whole number"]
    if plain == ["a whole number"] and re.fullmatch(r"\d+[eE]\+?\d{1,2}", value):
        plain = [f"a whole number, as in {float(value):.0f}"]
    if plain:
        return f"--{option} {value}: expected {' or '.join(plain)}"
    return (f"--{option} {value}: " if option else "") + _one_line(message.splitlines()[-1] if option else message)


def _class_message(message: str, option: str, value: str) -> str:
    """The line for a class that the parser did not find; empty for any other message."""
    if match := re.search(r"module '(.+)' has no attribute '(.+?)'", message):
        module = importlib.import_module(match[1])
        return _unknown_class_message(option, match[2], dir(module), f"{_named(module)} has ")
    if match := re.search(r"class_path '(.+?)':\s+No module named '(.+?)'", message):
        return _unknown_module_message(option, *match.groups())
    if match := re.search(r"Import path (\S+) does not correspond to a subclass of (\w+)", message):
        return f"--{option} {match[1]}: no class of the kind {match[2]}; {_choice(option)}"
    if match := re.search(r"Multiple subclasses with name (\w+)\. (.+)", message):
        return f"--{option} {match[1]}: {match[2]}"
    is_class = re.search(r"dot import path string|Unexpected import path format|sub-config file", message)
    if not is_class or re.search(r"<class '(?:int|float)'>", message):
        return ""
    kinds = [locate(name) for name in re.findall(r"Subtypes: \[<class '(project\.[\w.]+)'>", message)]
    if kinds and is_dataclass(kinds[-1]):
        names = [field.name for field in fields(kinds[-1])]
        example = f"'{{{names[0]}: ...}}'"
        return f"--{option} {value}: expected a mapping, as in {example}, with some of {', '.join(names)}"
    if option not in CLASSES:
        return f"--{option} {value}: expected a function or a class with its module, as in torch.nn.ReLU"
    if match := re.fullmatch(r"(.+)\.py(?:::?(\w+))?", value):
        path = Path(match[1])
        parts = [path.name] if path.is_absolute() or ".." in path.parts else path.parts
        name = ".".join([*parts, match[2] or "ClassName"])
        return f"--{option} {value}: give module and class with a dot between them, as in {name}"
    if value in list_models(torchvision.models):
        return f"--{option} {value}: no such class; torchvision's is TorchvisionModel with --{option}.name {value}"
    return _unknown_class_message(option, value, (kind.__name__ for kind in classes(option)))


def _unknown_option_message(message: str, option: str, name: str, options: Iterable[str], words: Sequence[str]) -> str:
    owner = re.search(r"class_path[ =]'(.+?)'", message)
    if owner is None:
        name = re.sub(r"\.(class_path|init_args).*", "", name)
        if "predict" in words[:1] and name in _image_options():
            return f"--{name}: an option of predict --images; give --images with image files or folders"
        near = nearest_option(name, options)
        return f"--{name}: no such option; {_did_you_mean(near, '--') or '--help shows what there is'}"
    kind: Any = locate(owner[1])
    parser = ArgumentParser()
    parser.add_class_arguments(kind, fail_untyped=False)
    known = list(parser.get_defaults().keys())
    if name in known:
        return f"--{option}.{name}: the run gives it to {kind.__name__}; leave it out"
    owners = [other.__name__ for other in classes(option) if name in option_names(other)]
    of_others = f" ({', '.join(owners)} {'have' if len(owners) > 1 else 'has'} it)" if owners else ""
    line = f"--{option}.{name}: {kind.__name__} has no such option{of_others}; "
    shown = kind.__name__ if kind in classes(option) else owner[1]
    return line + (_did_you_mean(nearest(name, known)) or f"--{option}.help {shown} shows what it has")


def _image_options() -> list[str]:
    parser = ArgumentParser()
    importlib.import_module(PREDICT_IMAGES).add_options(parser)
    return [action.dest for action in parser._actions]


def _unknown_class_message(option: str, name: str, names: Iterable[str], where: str = "") -> str:
    known = [name for name in names if name[0].isupper()]
    unknown = [word for word in re.findall(r"\b[A-Z]\w*", name) if word not in known]  # in a list of classes
    near = nearest(unknown[0] if unknown else name, known)
    return f"--{option} {name}: {where}no such class; {_did_you_mean(near) or _choice(option)}"


def _unknown_module_message(option: str, class_path: str, missing: str) -> str:
    if class_path.startswith(f"{missing}."):
        return (
            f"--{option} {class_path}: Python finds no module {missing}; put it into the current folder, beside a file "
            "of --config, or where PYTHONPATH points"
        )
    return f"--{option} {class_path}: its module needs {missing}, which is not installed"


def _choice(option: str) -> str:
    known = sorted({kind.__name__ for kind in classes(option)})
    return f"give one of {', '.join(known)}, or a class of your own" if known else "--help shows what there is"


def _named(module: ModuleType) -> str:
    """The module's name, with its file if the user may mean another module of that name."""
    is_known = module.__name__.partition(".")[0] in ("project", "torch", "lightning")
    return module.__name__ if is_known else f"{module.__name__} ({module.__file__})"


def _did_you_mean(name: str, dashes: str = "") -> str:
    return f"did you mean {dashes}{name}?" if name else ""


def _plain_type(name: str) -> str:
    name = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", name)
    name = re.sub(r"typing\.Literal\[(.+)\]", r"one of \1", name)
    name = re.sub(r"one of ('[^,]+')$", r"\1", name)
    name = re.sub(r"tuple with (\d+) elements", r"a list of \1", name)
    name = re.sub(r"(?:dot )?import path.*|instantiatable class.*", "class", name)
    return PLAIN.get(name, name)


def _one_line(message: str) -> str:
    return " ".join(message.split())
