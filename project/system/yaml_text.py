"""YAML, read by libyaml where PyYAML has it: ten times as fast as in Python."""

from pathlib import Path
from typing import Any

import yaml

from project.system.errors import UserError

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(text: str) -> Any:
    """The content of a text, of plain types only. Raises yaml.YAMLError."""
    return yaml.load(text, Loader=Loader)


def read_settings_file(path: Path, option: str, example: str) -> dict[str, Any]:
    """The settings in a YAML file.

    Args:
        path: The file.
        option: The option that names it, for an error line.
        example: A file that is right.

    Raises:
        UserError: the file cannot be read, or has no settings.
    """
    try:
        settings = load_yaml(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{option} {path}: {error.strerror}; give a file such as {example}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{option} {path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(settings, dict):
        raise UserError(f"{option} {path}: holds no settings; see {example} for what it should look like")
    return settings
