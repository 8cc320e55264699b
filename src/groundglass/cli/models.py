"""`groundglass models`: the shipped networks and their cards."""

from __future__ import annotations

import json

from groundglass.cli.analyze import Json
from groundglass.cli.console import show


def command(as_json: Json = False) -> int:
    """List the shipped networks: task, data, licence, metrics, checksum."""
    from rich.table import Table
    from rich.text import Text

    from groundglass.models.catalog import available, load_card

    cards = [load_card(name) for name in available()]
    if as_json:
        print(json.dumps([json.loads(card.to_json()) for card in cards], indent=2))
        return 0
    for card in cards:
        table = Table(title=Text(card.name), title_justify="left", show_header=False, show_lines=True)
        table.add_column("", no_wrap=True)
        table.add_column("")
        for name, value in json.loads(card.to_json()).items():
            shown = value if isinstance(value, str) else json.dumps(value, indent=1)
            table.add_row(Text(name), Text(shown))
        show(table)
    return 0
