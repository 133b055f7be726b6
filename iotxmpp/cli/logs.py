"""What the command line logs, to standard error."""

import logging


def set_up_logging(verbose: int) -> None:
    """Sets it up.

    Args:
        verbose: 0 for warnings, 1 for more, 2 for XMPP as well.
    """
    logging.basicConfig(
        level=(logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)],
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    if verbose < 2:  # noqa: PLR2004  # iotxmpp itself says what matters of it
        logging.getLogger("slixmpp").setLevel(logging.CRITICAL)
