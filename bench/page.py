"""The page that the benches write, section by section."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


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
