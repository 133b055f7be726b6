"""The page that the benches write: each its own block, and nothing that people wrote."""

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
