"""The page of all commands in the documentation, made from the commands themselves."""

from __future__ import annotations

from typing import Any

import typer

HEAD = """# Commands

Made from the program by `make docs`; `groundglass COMMAND --help` prints the same. Progress goes to stderr, results to
stdout; `--json` prints the result as JSON and nothing else on stdout (an error as `{"error": {...}}`).

| exit code | meaning |
| --- | --- |
| 0 | done |
| 1 | the run failed |
| 2 | wrong usage |
| 3 | the input is not usable, or the result says that its numbers must not be used (no lungs were found) |
"""


def commands_page() -> str:
    """The page as Markdown."""
    from groundglass.cli.main import app

    group: Any = typer.main.get_command(app)
    sections = [_section(name, group.commands[name]) for name in sorted(group.commands)]
    return "\n".join([HEAD, *sections])


def _section(name: str, command: Any) -> str:  # noqa: ANN401 - typer's own command type is private
    arguments = [item for item in command.params if item.param_type_name == "argument"]
    options = [item for item in command.params if item.param_type_name == "option"]
    usage = " ".join(["groundglass", name, *(item.metavar or item.name.upper() for item in arguments), "[OPTIONS]"])
    lines = [f"## {name}", "", command.help.strip(), "", f"    {usage}", "", "| option | meaning |", "| --- | --- |"]
    lines += [f"| `{item.metavar or item.name.upper()}` | {_plain(item.help)} |" for item in arguments]
    lines += [f"| {_names(item)} | {_plain(item.help)}{_default(item)} |" for item in options]
    return "\n".join([*lines, ""])


def _names(option: Any) -> str:  # noqa: ANN401
    return ", ".join(f"`{name}`" for name in sorted(option.opts, key=len, reverse=True))


def _default(option: Any) -> str:  # noqa: ANN401
    if option.is_flag or option.default is None:
        return ""
    return f" Default: `{option.default}`."


def _plain(text: str | None) -> str:
    return (text or "").replace("|", "\\|")
