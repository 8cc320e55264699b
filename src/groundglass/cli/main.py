"""The `groundglass` command: its sub-commands, and how errors become messages and exit codes.

Exit codes: 0 done, 1 the run failed, 2 wrong usage, 3 input not usable.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Annotated

import typer
from typer import Exit

from groundglass import __version__
from groundglass.cli import (
    analyze,
    batch,
    compare,
    crossval,
    demo,
    doctor,
    evaluate,
    explain,
    export,
    models,
    study,
    train,
)
from groundglass.cli.console import errors_to
from groundglass.errors import GroundglassError

app = typer.Typer(
    name="groundglass",
    help=(
        "Reads a chest CT and says where the lungs and the infection are and how much lung is involved. "
        "Offline, on a CPU. Not a medical device."
    ),
    epilog="Exit codes: 0 done, 1 the run failed, 2 wrong usage, 3 input not usable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"groundglass {__version__}")
        raise Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options that stand before the command."""


app.command("analyze")(analyze.command)
app.command("batch")(batch.command)
app.command("doctor")(doctor.command)
app.command("crossval")(crossval.command)
app.command("demo")(demo.command)
app.command("evaluate")(evaluate.command)
app.command("explain")(explain.command)
app.command("study")(study.command)
app.command("models")(models.command)
app.command("train")(train.command)
app.command("export")(export.command)
app.command("compare")(compare.command)


def run() -> None:
    """Run the command line of this process; the entry point of the `groundglass` script."""
    logging.getLogger("groundglass").addHandler(logging.NullHandler())
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run one command.

    Args:
        arguments: what stands after the program's name.

    Returns:
        The exit code. Every error is one message on stderr, and with `--json` an object on stdout.
    """
    as_json = "--json" in arguments
    try:
        outcome = app(arguments, prog_name="groundglass", standalone_mode=False)
    except GroundglassError as error:
        return _fail(str(error), type(error).__name__, error.exit_code, as_json)
    except typer.Abort:
        return _fail("stopped by the user", "Abort", 130, as_json)
    except MemoryError:
        return _fail("not enough memory for this input; try a smaller scan", "MemoryError", 1, as_json)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - nobody reads any more; keeps the interpreter's exit quiet
        return 1
    except Exception as error:  # noqa: BLE001 - the last border before a user: one line instead of a traceback
        return _fail_usage_or_bug(error, as_json)
    return outcome if isinstance(outcome, int) else 0


def _fail_usage_or_bug(error: Exception, as_json: bool) -> int:
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        context = getattr(error, "ctx", None)
        hint = f" Try: {context.command_path} --help" if context is not None else ""
        return _fail(f"{error.format_message()}{hint}", "UsageError", int(error.exit_code), as_json)
    if "GROUNDGLASS_DEBUG" in os.environ:
        raise error
    text = (
        f"unexpected {type(error).__name__}: {error}. This is a fault of the program, please report it; "
        "GROUNDGLASS_DEBUG=1 shows where it happened"
    )
    return _fail(text, type(error).__name__, 1, as_json)


def _fail(text: str, kind: str, exit_code: int, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": {"type": kind, "message": text, "exit_code": exit_code}}))
    errors_to(sys.stderr).print(f"[bold red]Error:[/] {escape_markup(text)}", soft_wrap=True, highlight=False)
    return exit_code


def escape_markup(text: str) -> str:
    """Text in which no square bracket is read as markup."""
    from rich.markup import escape

    return escape(text)
