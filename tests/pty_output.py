"""What was written to a terminal."""

import os


def read_all(file: int) -> str:
    """Everything that is written to a terminal, until nobody has it open."""
    data = b""
    try:
        while more := os.read(file, 65536):
            data += more
    except OSError:  # Linux's way to say so
        pass
    finally:
        os.close(file)
    return data.decode(errors="replace")
