"""Reads from a desk what does not fit one answer: page by page, and long values in pieces."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from iotxmpp.errors import CommandError

Ask = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
"""Calls a command of the desk itself, with its arguments."""

_PARTS = ("desired", "reported", "refused", "settings")


async def read_commands(ask: Ask, asked: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
    """The newest commands, the oldest of them first; `shortened` in a row tells what is shortened in it.

    Args:
        ask: Asks the desk.
        asked: Which ones: `device` and `state`, as the desk's `commands` has them.
        limit: At most so many.

    Raises:
        CommandError: The desk refused.
        NoAnswerError: No answer in time.
        LinkDownError: The link is down or went down.
    """
    found: list[dict[str, Any]] = []
    while len(found) < limit:
        before = {"before": found[0]["id"]} if found else {}
        page = await ask("commands", {**asked, **before, "limit": limit - len(found)})
        if not page:
            break
        found = [*page, *found]
    return found


async def read_command(ask: Ask, id_: str) -> dict[str, Any]:
    """One command in full.

    Args:
        ask: Asks the desk.
        id_: Its id, or how that begins.

    Raises:
        CommandError: The desk refused.
        NoAnswerError: No answer in time.
        LinkDownError: The link is down or went down.
    """
    found: dict[str, Any] = await ask("command", {"id": id_})
    for name in found.pop("shortened", {}):
        found[name] = await read_json(ask, "part", {"id": found["id"], "of": name})
    return found


async def read_twin(ask: Ask, first: Mapping[str, Any], *, whole: bool = False) -> dict[str, Any]:
    """A twin of which the first page is known.

    Args:
        ask: Asks the desk.
        first: What the desk's `twin` or `desire` answered.
        whole: Long values in full, too; `shortened` tells of them otherwise.

    Raises:
        CommandError: The desk refused.
        NoAnswerError: No answer in time.
        LinkDownError: The link is down or went down.
    """
    page, pages = dict(first), [first]
    while page.get("after"):
        page = await ask("twin", {"device": first["device"], "after": page["after"]})
        pages.append(page)
    shown = {**page, **{part: _joined(pages, part) for part in _PARTS}}
    shown.pop("after", None)
    marks = {
        state: sizes
        for state in ("desired", "reported")
        if (sizes := _joined([each.get("shortened", {}) for each in pages], state))
    }
    shown.pop("shortened", None)
    if not whole:
        return {**shown, "shortened": marks} if marks else shown
    for state, sizes in marks.items():
        for name in sizes:
            asked = {"device": first["device"], "name": name, "state": state}
            shown[state][name] = await read_json(ask, "setting", asked)
    return shown


async def read_devices(ask: Ask, where: str, command: str) -> tuple[list[dict[str, Any]], int]:
    """The devices that an expression means, as the desk's `choose` tells of them, and how many are known.

    Raises:
        CommandError: The desk refused.
        NoAnswerError: No answer in time.
        LinkDownError: The link is down or went down.
    """
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = await ask("choose", {"where": where, "command": command, "after": after})
        abouts = page["abouts"]
        for row in page["devices"]:
            place = row["about"]
            found.append({**row, "about": None if place is None else abouts[place]})
        after = page.get("after", "")
        if not after:
            return found, page["known"]


async def read_json(ask: Ask, command: str, asked: Mapping[str, Any]) -> Any:  # noqa: ANN401  # any JSON
    """A value that comes as JSON text in pieces.

    Args:
        ask: Asks the desk.
        command: The desk's command that gives a piece, from `start` on.
        asked: Its other arguments.

    Raises:
        CommandError: The desk refused; or the value changed while it was read.
        NoAnswerError: No answer in time.
        LinkDownError: The link is down or went down.
    """
    text = ""
    while True:
        piece = await ask(command, {**asked, "start": len(text)})
        text += piece["text"]
        if len(text) >= piece["size"] or not piece["text"]:
            break
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"what the controller sent in pieces is no JSON: {error}; try again") from error


def _joined(pages: list[Mapping[str, Any]] | list[Any], part: str) -> dict[str, Any]:
    return {name: value for page in pages for name, value in page.get(part, {}).items()}
