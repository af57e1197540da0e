"""Plugins that are installed beside pytest find their own fixtures by name, and fail on another's of that name."""

import re
from pathlib import Path

# Of the plugins benchmark, mock, asyncio, xdist, cov, subtests, metadata, django, flask and aiohttp.
OF_PLUGINS = {
    *("benchmark", "benchmark_weave", "mocker", "event_loop", "event_loop_policy", "worker_id", "testrun_uid", "cov"),
    *("no_cover", "subtests", "metadata", "settings", "client", "db", "rf", "app", "config", "live_server", "loop"),
}


def test_no_fixture_has_the_name_of_a_plugins() -> None:
    sources = [path.read_text() for path in Path(__file__).parent.rglob("*.py")]
    names = {name for text in sources for name in re.findall(r"@pytest\.fixture.*\ndef (\w+)", text)}
    assert {"digits", "error"} <= names
    assert names.isdisjoint(OF_PLUGINS)
