"""The check of both serial levels: CRC-16/GENIBUS.

Polynomial 0x1021, initial value 0xFFFF, not reflected, inverted at the end; `123456789` gives 0xD64E. The
inversion matters: without it, a stray code byte before a frame's end decodes to one more zero and still fits.
"""

import binascii


def crc16(data: bytes | bytearray, start: int = 0) -> int:
    """The CRC-16/GENIBUS of some bytes.

    Args:
        data: The bytes.
        start: The check of the bytes before them, to go on from; 0 for none.
    """
    return binascii.crc_hqx(data, start ^ 0xFFFF) ^ 0xFFFF
