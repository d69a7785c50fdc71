"""What a request's log line says besides its status: the session, and where the time went."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Trace:
    """Seconds by phase, and the session that the request was about."""

    phases: dict[str, float] = field(default_factory=dict)
    session: str | None = None


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


@contextmanager
def traced() -> Iterator[Trace]:
    """Note everything inside."""
    trace = Trace()
    token = _current.set(trace)
    try:
        yield trace
    finally:
        _current.reset(token)


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Count the time inside as `name`, but for phases within, which count as themselves."""
    trace = _current.get()
    if trace is None:
        yield
        return
    start, before = time.perf_counter(), sum(trace.phases.values())
    try:
        yield
    finally:
        within = sum(trace.phases.values()) - before
        trace.phases[name] = trace.phases.get(name, 0.0) + time.perf_counter() - start - within


def note_session(session: str) -> None:
    """The request is about this session."""
    trace = _current.get()
    if trace is not None:
        trace.session = session
