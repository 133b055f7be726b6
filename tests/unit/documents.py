"""The documents, taken apart: their blocks, sections and tables."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT = Path(__file__).parents[2]
TEXTS: Final = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
}

FENCE = re.compile(
    r"(?:^<!-- (?P<marker>[^\n]*?) -->\n)?^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of a document.

    Attributes:
        file: The document.
        line: Where the block starts.
        marker: The comment before it.
        language: The word after the fence.
        text: What it holds.
    """

    file: str
    line: int
    marker: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """The blocks of these languages in all documents."""
    return [
        Block(
            file=file,
            line=text.count("\n", 0, match.start()) + 1,
            marker=match["marker"] or "",
            language=match["language"],
            text=match["text"],
        )
        for file, text in TEXTS.items()
        for match in FENCE.finditer(text)
        if match["language"] in languages
    ]


def section(text: str, heading: str) -> str:
    """What stands under a heading, down to the next one."""
    _, found, rest = text.partition(f"\n{heading}\n")
    assert found, f"no heading {heading!r}"
    return re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The rows of the tables in a text, without their heads."""
    found = []
    in_table = False
    for line in text.splitlines():
        if re.fullmatch(r"\|[-|]+\|", line):
            in_table = True
        elif not line.startswith("|"):
            in_table = False
        elif in_table:
            found.append([cell.strip().replace("`", "") for cell in line.strip("|").split("|")])
    return found


def first_cells(text: str) -> set[str]:
    """The first cell of each row."""
    return {row[0] for row in rows(text)}
