"""Errors that siaf raises on purpose; anything else is a bug."""


class SiafError(Exception):
    """Base of every error that siaf raises on purpose. `str()` is one line for a user."""


class InputError(SiafError):
    """Something the caller gave is wrong.

    `field` names the offending part ("scribbles[3].path", "references[12]"), so that a command line, an HTTP reply
    and a log line can all point at it.
    """

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class StateError(InputError):
    """A state file or weights file is damaged, of a newer format, or belongs to another model or other weights."""


class OutOfMemory(SiafError):
    """The device has too little free memory, however little is computed at a time."""


class Busy(SiafError):
    """Somebody else works on the same: in a moment it may succeed."""


class Conflict(SiafError):
    """Somebody else changed the same since it was read, and nothing of theirs is overwritten."""
