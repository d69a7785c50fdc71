"""Scans of a JPEG, counted without decoding.

A progressive one may repeat them as often as it likes, each at the cost of decoding the whole picture.
"""

MAX_SCANS = 100
"""Encoders make ten or so."""

_JPEG, _START_OF_SCAN = b"\xff\xd8", b"\xff\xda"


def scans(data: bytes) -> int:
    """How many scans a file has; 0 if it is not a JPEG.

    Compressed data has no FF before DA, so apart from real scans only those of an EXIF thumbnail are counted.
    """
    return data.count(_START_OF_SCAN) if data.startswith(_JPEG) else 0
