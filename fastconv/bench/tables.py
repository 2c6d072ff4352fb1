"""Tables of a report: (title, columns, rows of text) on the terminal and as Markdown."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

UNBOUNDED = 10_000  # columns
TEXT = ("mode", "side", "what", "over", "beside", "reached", "note")  # columns that are not figures


def print_tables(tables, lines: list[str]) -> None:
    """Tables on standard output, then the lines."""
    printed = [_table(*table) for table in tables]
    # figures are never cut off: a terminal that is too narrow, or a pipe, gets long lines instead
    unbounded = Console(width=UNBOUNDED)
    needed = [unbounded.measure(table).maximum for table in printed]
    console = Console(width=max(Console().width, *needed))
    for table in printed:
        console.print(table)
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _table(title, columns, rows):
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, justify="left" if i < 1 or column in TEXT else "right")
    for row in rows:
        table.add_row(*row)
    return table


def markdown(title: str, lines: list[str], tables) -> str:
    """A page: the lines as a list, then the tables."""
    page = [f"# {title}", "", *(f"- {line}" for line in lines), ""]
    for heading, columns, rows in tables:
        page += [f"## {heading}", "", _line(c.replace("\n", " ") for c in columns)]
        page += [_line("---" for _ in columns), *map(_line, rows), ""]
    return "\n".join(page)


def _line(cells):
    return "| " + " | ".join(cells) + " |"


def progress_bar() -> Progress:
    """On standard error, gone at the end."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
