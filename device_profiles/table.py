"""The table of the shipped profiles: `python -m device_profiles.table --write docs/profiles.md` renews it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from device_profiles import load, names
from iotxmpp.errors import ConfigError
from iotxmpp.kinds import ReadingKind

START = "<!-- shipped profiles: made by python -m device_profiles.table -->"
END = "<!-- end of shipped profiles -->"


def table() -> str:
    """The table of the shipped profiles, as Markdown."""
    lines = ["| Profile | What | Channels | Commands | Driver |", "|---|---|---|---|---|"]
    for name in names():
        profile = load(name)
        channels = ", ".join(_channels(each, kind) for each, kind in profile.readings.items())
        commands = ", ".join(f"`{command}`" for command in profile.commands)
        cells = (f"`{name}`", profile.title, channels, commands, profile.driver.kind)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def with_table(document: str, where: str) -> str:
    """A document with the table between its two markers as it is now.

    Raises:
        ConfigError: A marker is not there.
    """
    before, start, rest = document.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ConfigError(f"{where}: a marker is missing; put {START} and {END} around the table")
    return f"{before}{START}\n\n{table()}\n\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table, or writes it into a document."""
    parser = argparse.ArgumentParser(description="The table of the shipped profiles.")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write it between the markers of FILE")
    document: Path | None = parser.parse_args(arguments).write
    if document is None:
        sys.stdout.write(f"{table()}\n")
    else:
        text = document.read_text(encoding="utf-8")
        document.write_text(with_table(text, str(document)), encoding="utf-8")


def _channels(name: str, kind: ReadingKind) -> str:
    text = f"`{name}`" if kind.count is None else f"`{name}/1` to `{name}/{kind.count}`"
    return f"{text} ({kind.unit})" if kind.unit else text


if __name__ == "__main__":
    main()
