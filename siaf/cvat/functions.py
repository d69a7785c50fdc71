"""The old name of `siaf.cvat.auto_annotation`, for commands that name this module; it goes with the next release."""

from siaf.cvat.auto_annotation import Following, Picture, SessionReplay, SiafInteraction, SiafTracking, create

__all__ = ["Following", "Picture", "SessionReplay", "SiafInteraction", "SiafTracking", "create"]
