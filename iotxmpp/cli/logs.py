"""What the command line logs, to standard error."""

import logging
from typing import Any

from iotxmpp.xmltext import printable


def set_up_logging(verbose: int) -> None:
    """Sets it up.

    Args:
        verbose: 0 for warnings, 1 for more, 2 for XMPP as well.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(
        level=(logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)], handlers=[handler]
    )
    if verbose < 2:  # noqa: PLR2004  # iotxmpp itself says what matters of it
        logging.getLogger("slixmpp").setLevel(logging.CRITICAL)


class _Lines(logging.Formatter):
    """Logs a line a record, whatever a device said in it; the lines of a traceback are indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802  # logging's signature
        return printable("  " + super().formatException(ei).replace("\n", "\n  "), keep="\n")
