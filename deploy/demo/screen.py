"""What the demo prints: chapters, steps with how long they took, tables with numbers as India reads them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.table import Table

console = Console(highlight=False, width=None if Console().is_terminal else 140)
_started = time.monotonic()


def chapter(number: int, title: str) -> None:
    console.print(f"\n[bold]{number}. {title}[/bold]  [dim]({time.monotonic() - _started:.0f} s)[/dim]")


@contextmanager
def step(what: str) -> Iterator[None]:
    """A line that says what is done, while and after it is."""
    begun = time.monotonic()
    with console.status(f"   {what} ..."):
        yield
    console.print(f"   [green]✓[/green] {what} [dim]({time.monotonic() - begun:.1f} s)[/dim]")


def say(words: str) -> None:
    console.print(f"     {words}")


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *, numbers_from: int = 1) -> None:
    """A table; columns from `numbers_from` on are right-aligned."""
    made = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for place, name in enumerate(header):
        made.add_column(name, justify="right" if place >= numbers_from else "left", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    console.print(made)


def took() -> float:
    """Seconds since the demo began."""
    return time.monotonic() - _started
