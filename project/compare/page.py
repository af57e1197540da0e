"""The comparison as one page that needs no network: tables, curves, pictures and settings are all inside."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from project.compare.answers import Answers
from project.compare.charts import CURVES, RATES, Line, chart, line_style, points
from project.compare.comparison import Comparison
from project.compare.groups import Group
from project.compare.notes import notes
from project.compare.pictures import MOST_BYTES, picture_strips, read_pictures, study_pictures
from project.compare.runs import Run
from project.compare.settings import SEED, differing
from project.compare.table import STATE, Cell, Table, answer_table, difference_table, group_table
from project.runs.results import read_metrics
from project.system.files import atomic_write
from project.system.text import counted

TEMPLATE = Path(__file__).with_name("page.html")
LEGEND = 12  # groups with a colour of their own
LONG = 30  # characters of a cell, from which on it may have several lines
Rows = Sequence[Mapping[str, str]]


def write_page(comparison: Comparison, path: Path) -> None:
    """Write the page. Names are text in it, whatever characters they have.

    Raises:
        OSError: the file cannot be written.
    """
    sections = [section for section in _sections(comparison) if section[1]]
    page = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=f"{counted(len(comparison.runs), 'run')} compared",
        summary=escape(_summary(comparison)),
        links="".join(f'<a href="#{_anchor(title)}">{title}</a>' for title, _ in sections),
        sections="\n".join(
            f'<section id="{_anchor(title)}"><h2>{title}</h2>\n{content}</section>' for title, content in sections
        ),
    )
    with atomic_write(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8", errors="backslashreplace")


def _sections(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """The title and the content of each section; the content is empty where there is nothing to show."""
    yield "Results", _html_table(group_table(comparison), "Results") + _notes(comparison)
    yield "Differences", _differences(comparison)
    yield "Search", study_pictures(comparison.runs)
    yield "Curves", _curves(comparison.groups)
    yield "Pictures", _pictures(comparison.groups)
    yield "Settings", _settings(comparison.groups)


def _summary(comparison: Comparison) -> str:
    states = [run.state.partition(",")[0].partition(":")[0] for run in comparison.runs]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    has_ensemble = any(isinstance(group.answers, Answers) and len(group.runs) > 1 for group in comparison.groups)
    ensemble = " An ensemble answers by the mean of the probabilities of all seeds." if has_ensemble else ""
    return (
        f"{counts}. Runs that differ by seed alone are one row: mean ± standard deviation, and the 95 % interval of "
        f"the mean (Student's t; of an accuracy cut to 0 to 100 %).{ensemble} Sorted by {comparison.order}; a click on "
        "the name of a column sorts by it."
    )


def _notes(comparison: Comparison) -> str:
    return "".join(f"<p>{escape(line)}.</p>" for line in notes(comparison))


def _differences(comparison: Comparison) -> str:
    tables = {"Differences": difference_table(comparison), "Answers": answer_table(comparison)}
    return "\n".join(
        f"<p>{escape(table.title[0].upper() + table.title[1:])}.</p>\n{_html_table(table, name)}"
        for name, table in tables.items()
        if table
    )


def _html_table(table: Table, name: str) -> str:
    """A table whose columns can be sorted. The state of a run, which is rarely worth a column, is below its name."""
    places = [place for place, name in enumerate(table.names) if name != STATE]
    head = "".join(
        f'<th scope="col" class="{"number" * table.is_number[place]}">'
        f'<button type="button">{_breakable(table.names[place])}</button></th>'
        for place in places
    )
    body = "\n".join(
        f"<tr>{''.join(_cell(row[place], place, table.is_number[place]) for place in places)}</tr>"
        for row in table.rows
    )
    return _scrolled(f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>", name)


def _cell(cell: Cell, place: int, is_number: bool) -> str:
    tag = "td" if place else 'th scope="row"'
    kind = "number" if is_number else "long" if len(cell.text) > LONG else ""
    value = "" if cell.value is None or cell.value != cell.value else escape(str(cell.value))
    note = f'<div class="state">{escape(cell.note)}</div>' if cell.note else ""
    return f'<{tag} class="{kind}" data-value="{value}">{escape(cell.text)}{note}</{tag[:2]}>'


def _scrolled(content: str, name: str) -> str:
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table>{content}</table></div>'


def _curves(groups: Sequence[Group]) -> str:
    rows = [[_metrics(run) for run in group.runs] for group in groups]
    rate = next((name for name in RATES if any(name in table[0] for runs in rows for table in runs if table)), RATES[0])
    charts = [chart(name, axis, _lines(groups, rows, name, axis)) for name, axis in {**CURVES, rate: "step"}.items()]
    if not any(charts):
        return ""
    return f'{_legend(groups)}\n<div class="charts">{"".join(charts)}</div>'


def _lines(groups: Sequence[Group], rows: Sequence[Sequence[Rows]], name: str, axis: str) -> list[Line]:
    return [
        Line(run.label, line_style(place), points(table, name, axis))
        for place, (group, tables) in enumerate(zip(groups, rows, strict=True))
        for run, table in zip(group.runs, tables, strict=True)
    ]


def _metrics(run: Run) -> Rows:
    """The rows of metrics.csv; none of a damaged table."""
    try:
        return read_metrics(run.path)
    except (OSError, ValueError, csv.Error):
        return []


def _legend(groups: Sequence[Group]) -> str:
    line = '<svg viewBox="0 0 28 10" aria-hidden="true"><path class="{}" d="M2 5H26"/></svg>'
    items = [f"<li>{line.format(line_style(place))}{escape(group.label)}</li>" for place, group in enumerate(groups)]
    if len(groups) > LEGEND:
        items[LEGEND:] = [f"<li>{line.format('rest')}the other {counted(len(groups) - LEGEND, 'row')}</li>"]
    return f'<ul class="legend">{"".join(items)}</ul>'


def _pictures(groups: Sequence[Group]) -> str:
    pictures = read_pictures(groups)
    if not pictures.shown and not pictures.left_out:
        return ""
    limit = f"a page takes at most {MOST_BYTES >> 20} MiB of them. Compare fewer runs to see all of theirs."
    note = f"{counted(pictures.left_out, 'picture')} left out: {limit}"
    actual = '<input type="checkbox" id="actual"> <label for="actual">actual size</label>'
    return (f"<p>{note}</p>\n" if pictures.left_out else "") + actual + picture_strips(pictures)


def _settings(groups: Sequence[Group]) -> str:
    """All settings, and all of the environment, in which the groups differ; in bold what is not as in the first."""
    known = [group for group in groups if group.settings]
    if len(known) < 2:
        return ""
    every = [{**group.settings, **_environment(group)} for group in known]
    head = "".join(f'<th scope="col">{_breakable(group.label)}</th>' for group in known)
    rows = []
    for name in (name for name in differing(every) if name != SEED):
        texts = ["" if settings.get(name) is None else str(settings[name]) for settings in every]
        cells = "".join(_setting(text, text != texts[0]) for text in texts)
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    text = "Everything in which the rows differ. What is not as in the first column is bold."
    content = f'<thead><tr><th scope="col">setting</th>{head}</tr></thead>\n<tbody>{"".join(rows)}</tbody>'
    return f"<p>{text}</p>\n{_scrolled(content, 'Settings')}" if rows else ""


def _setting(text: str, is_other: bool) -> str:
    kinds = " ".join(["other"] * is_other + ["long"] * (len(text) > LONG))
    return f'<td class="{kinds}">{escape(text)}</td>'


def _environment(group: Group) -> dict[str, object]:
    return {f"environment.{name}": value for name, value in group.runs[0].environment.items()}


def _breakable(name: str) -> str:
    """The name of a column, which may go on in the next line after a dot, a slash or an underscore."""
    return re.sub(r"([./_])", r"\1<wbr>", escape(name))


def _anchor(title: str) -> str:
    return title.lower()
