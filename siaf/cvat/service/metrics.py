"""Counters of the service for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)


class Metrics:
    """Requests by call and status; rounds by outcome, their time, how many wait and run."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("siaf_service_requests", "Requests answered.", ["call", "status"], registry=registry)
        self._rounds = Counter("siaf_service_rounds", "Rounds that ended.", ["outcome"], registry=registry)
        self._seconds = Histogram(
            "siaf_service_round_seconds", "Time of a round, without waiting.", buckets=_SECONDS, registry=registry
        )
        self._waiting = Gauge("siaf_service_rounds_waiting", "Rounds in the queue.", registry=registry)
        self._running = Gauge("siaf_service_rounds_running", "Rounds that run.", registry=registry)

    def answered(self, call: str, status: int) -> None:
        """One request."""
        self._requests.labels(call, str(status)).inc()

    def ended(self, outcome: str, seconds: float) -> None:
        """One round; it took so long."""
        self._rounds.labels(outcome).inc()
        if seconds:
            self._seconds.observe(seconds)

    def standing(self, *, waiting: int, running: int) -> None:
        """How the queue stands."""
        self._waiting.set(waiting)
        self._running.set(running)

    def render(self) -> bytes:
        """The text format."""
        return generate_latest(self._registry)
