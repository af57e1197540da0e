"""The data that --data and --config mean, as fit means it, for a command that needs nothing but the data."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from project.cli.arguments import carried_over, check_yaml
from project.cli.messages import user_message
from project.cli.parser import CommandLine, Parser
from project.cli.user_parts import Instantiator
from project.data import ImageDataModule, ImageFolder
from project.system.errors import UserError


class DataCommandLine(CommandLine):
    """Parses the words of fit or test, and makes the data module alone."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """fit needs a network; the data does not, so there is one by default."""
        super().add_arguments_to_parser(parser)
        parser.set_defaults({"model.network": {"class_path": "project.networks.Perceptron"}})

    def instantiate_classes(self) -> None:
        """Make the data module. An error names the option that is to blame."""
        self.options: Namespace = self.config[self.subcommand]
        self.subcommand = None  # nothing runs after this
        for line in carried_over(self.words, self.options):
            if line.startswith("--data"):
                print(line, flush=True)
        parser = Parser()
        parser.add_lightning_class_args(ImageDataModule, "data", subclass_mode=True)
        instantiator = Instantiator(self.options, self.words)
        try:
            options = Namespace(data=self.options.data)  # type: ignore[no-untyped-call]
            made = parser.instantiate(options, instantiators=[(instantiator, object, True)])
        except Exception as error:
            raise instantiator.refusal or error from None
        self.datamodule = made.data


@contextmanager
def make_data(words: Sequence[str]) -> Iterator[ImageDataModule]:
    """Make the data module that the words of fit or test mean. In the block its images are read, but for damaged files.

    Raises:
        UserError: as fit does, also for errors in the block.
    """
    check_yaml(words)
    options: Any = None
    try:
        parsed = DataCommandLine(words)
        options = parsed.options
        if isinstance(parsed.datamodule, ImageFolder):
            parsed.datamodule.skip_damaged = True  # its problems have them
        yield parsed.datamodule
    except Exception as error:  # of whatever kind, where a part of the user's own has raised it
        if isinstance(error, UserError) or not (line := user_message(error, options)):
            raise
        raise UserError(line) from error
