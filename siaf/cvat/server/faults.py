"""What may work later: faults of a server, and how long a call waits for them to pass."""

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from siaf.errors import SiafError

T = TypeVar("T")

THROTTLED_S = 120.0
"""How long a call waits in all while the server asks for fewer of them."""


class ServerFault(SiafError):
    """The server, or the way to it, failed; the same call may work later."""


class Throttled(ServerFault):
    """The server was asked too often and did nothing; it wants `wait_s` seconds of rest, None if it does not say."""

    def __init__(self, message: str, wait_s: float | None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


def patiently(attempt: Callable[[], T], delays: Iterable[float], final: tuple[type[ServerFault], ...] = ()) -> T:
    """What the attempt gives. After a ServerFault, unless it is a `final` one, it is made again after each of `delays`;
    after a 429, when the server wants it, or after ever longer pauses.
    """
    rest = iter(delays)
    patience, pause = THROTTLED_S, 1.0
    while True:
        try:
            return attempt()
        except Throttled as fault:
            wait = pause if fault.wait_s is None else fault.wait_s
            patience, pause = patience - wait, pause * 2
            if patience < 0:
                raise
        except ServerFault as fault:
            following = None if isinstance(fault, final) else next(rest, None)
            if following is None:
                raise
            wait = following
        time.sleep(wait)


def retry_after(headers: Any) -> float | None:
    """Seconds in a `Retry-After` header, which may also name a time; None if it says nothing that can be waited for."""
    text = str((headers or {}).get("Retry-After", "")).strip()
    try:
        seconds = float(text) if text.isdigit() else (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
    return seconds if seconds > 0 else None
