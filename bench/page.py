"""The page that the benches write: each its own block or section, and nothing that people wrote."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


def put_block(path: Path, name: str, body: str) -> None:
    """Writes a block into the page, in its place between its two marks, or at the top; the rest stays.

    Raises:
        RuntimeError: Its first mark is there and its last is not; nothing was written.
    """
    first, last = f"<!-- {name} writes from here on -->\n", f"<!-- {name} writes up to here -->\n"
    new = f"{first}{body.strip()}\n{last}"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    before, begun, rest = text.partition(first)
    _, ended, after = rest.partition(last)
    if not begun:
        text = f"{new}\n{text}" if text else new
    elif ended:
        text = f"{before}{new}{after}"
    else:
        raise RuntimeError(f"{path}: the line {last.strip()} is missing; put it below the block's last line")
    path.write_text(text, encoding="utf-8")


def section(path: Path, heading: str) -> str:
    """A section of the page, its heading included; empty where there is none."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    found = re.search(rf"^## {re.escape(heading)}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[0] if found else ""


def put_section(path: Path, heading: str, body: str) -> None:
    """Writes a section into the page, in its place, or at the end."""
    new = f"## {heading}\n\n{body.strip()}\n"
    old = section(path, heading)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if old:
        text = text.replace(old, new + "\n" if not text.endswith(old) else new)
    else:
        text = f"{text.rstrip()}\n\n{new}".lstrip()
    path.write_text(text, encoding="utf-8")
