"""Pydantic's errors as one readable line: where, what, and what was given."""

from pydantic import ValidationError

_MOST = 5


def explain(error: ValidationError, where: str) -> str:
    """One line that names each wrong key with its fault; secrets are never repeated."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    parts = [f"{'.'.join(str(step) for step in fault['loc']) or 'value'}: {fault['msg']}" for fault in faults]
    more = f"; and {len(parts) - _MOST} more" if len(parts) > _MOST else ""
    return f"{where}: {'; '.join(parts[:_MOST])}{more}"
