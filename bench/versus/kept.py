"""What was measured, kept beside the page: a run of one part leaves what the others found."""

import json
from pathlib import Path
from typing import Any

from versus.goals import Outcome


def folder_of(page: Path) -> Path:
    """Where the figures and plots of a page are."""
    return page.with_suffix("")


def load(page: Path, bench: str) -> dict[str, Any]:
    """What a bench has kept; empty at first."""
    path = folder_of(page) / f"{bench}.json"
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return kept


def save(page: Path, bench: str, kept: dict[str, Any]) -> None:
    """Keeps it."""
    folder = folder_of(page)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{bench}.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def outcomes(kept: dict[str, Any]) -> dict[str, Outcome]:
    """The outcomes of its parts."""
    return {name: Outcome.of(part) for name, part in kept.get("parts", {}).items()}
