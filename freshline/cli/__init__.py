"""The `freshline` command: one file a command, imported when it runs."""

from __future__ import annotations

import sys

import typer
from pydantic import ValidationError

from freshline.cli import (
    bench,
    dead_letters,
    demo,
    doctor,
    evaluate,
    export,
    keys,
    monitor,
    publish,
    replay,
    rollout,
    search,
    serve,
    setup,
    stack,
    train,
    worker,
)
from freshline.cli.errors import Failure, report

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Streaming near-real-time indexing for visual product search.",
)
app.command()(demo.demo)
app.command()(setup.setup)
app.command()(worker.worker)
app.command()(publish.publish)
app.command()(serve.serve)
app.command()(search.search)
app.add_typer(keys.app, name="keys")
app.add_typer(dead_letters.app, name="dead-letters")
app.command()(monitor.monitor)
app.command()(replay.replay)
app.command()(doctor.doctor)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(export.export)
app.add_typer(rollout.app, name="rollout")
app.add_typer(stack.app, name="stack")
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Run the command line; exits 0 only for success."""
    try:
        app()
    except Failure as failure:
        report(str(failure))
    except ValidationError as error:
        report(f"settings: {_wrong_settings(error)}")
    except ModuleNotFoundError as error:
        report(f"{error.name} is not installed; this command needs an extra: pip install 'freshline[all]'")
    else:
        return
    sys.exit(1)


def _wrong_settings(error: ValidationError) -> str:
    return "; ".join(
        f"FRESHLINE_{'_'.join(str(part) for part in detail['loc']).upper()}: {detail['msg']}"
        for detail in error.errors(include_url=False, include_input=False)
    )
