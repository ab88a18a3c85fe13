"""`freshline search`: a picture or words in, the products that the running service finds out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from freshline.cli.errors import Failure

if TYPE_CHECKING:
    from search.models import Hit

_TIMEOUT_SECONDS = 30.0


def search(
    image: Annotated[Path | None, typer.Argument(help="A JPEG, PNG or WebP file.")] = None,
    *,
    text: Annotated[str | None, typer.Option(help="What it is called or looks like, in words.")] = None,
    text_weight: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Of the words beside a picture, 0 to 1.", show_default="0.5"),
    ] = None,
    url: Annotated[str, typer.Option(help="Where `freshline serve` answers.")] = "http://127.0.0.1:8080",
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many products at most.")] = 10,
    key: Annotated[
        str | None, typer.Option(envvar="FRESHLINE_API_KEY", help="An API key, where the service wants one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the service's answer as it is.")] = False,
) -> None:
    """Find the products that look most like a picture, or like what words say, or both.

    Example: freshline search street-photo.jpg --text "in blue" --limit 5
    """
    if image is None and not text:
        raise Failure("nothing to search for: give a picture, or --text")
    from freshline.client import Client, SearchError

    try:
        with Client(url, key=key, attempts=1, timeout=_TIMEOUT_SECONDS) as client:
            answer = client.search(image, text, text_weight=text_weight, limit=limit)
    except OSError as error:
        raise Failure(f"{image}: {error.strerror}") from error
    except (SearchError, ValueError) as error:
        raise Failure(str(error)) from error
    if as_json:
        typer.echo(answer.model_dump_json(indent=2))
        return
    console = Console()
    console.print(_table(answer.results, datetime.now(UTC)))
    console.print(f"{len(answer.results)} products in {answer.took_ms:.0f} ms", highlight=False)


def _table(hits: list[Hit], now: datetime) -> Table:
    table = Table("score", "product", "title", "price", "listed", box=None, header_style="bold", pad_edge=False)
    for hit in hits:
        listed = _ago(now - hit.occurred_at)
        cells = (f"{hit.score:.3f}", hit.product_id, hit.title or "", _price(hit), listed)
        table.add_row(*map(Text, cells))
    return table


def _price(hit: Hit) -> str:
    return "" if hit.price is None else f"{hit.price:.2f} {hit.currency or ''}".rstrip()


def _ago(age: timedelta) -> str:
    """How long ago, in the largest unit that fits."""
    seconds = max(0, int(age.total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
