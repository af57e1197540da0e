"""What the tests of compare share."""

import pytest

from project.cli.main import main
from tests.compare.runs import Printed


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """The lines that compare prints."""

    def lines(*words: str) -> list[str]:
        main(["compare", *words])
        return capsys.readouterr().out.splitlines()

    return lines
