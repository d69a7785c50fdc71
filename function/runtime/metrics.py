"""Counters for Prometheus, of this worker."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60)


class Metrics:
    """Requests by call and status, time by call and by phase, the size of the caches."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("siaf_requests", "Requests answered.", ["call", "status"], registry=self._registry)
        self._seconds = Histogram(
            "siaf_request_seconds",
            "Time to answer.",
            ["call"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._phases = Histogram(
            "siaf_phase_seconds",
            "Time by phase: decode, model, encode, store.",
            ["phase"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._features = Gauge(
            "siaf_feature_cache_bytes", "Features of frames kept in memory.", registry=self._registry
        )
        self._live = Gauge("siaf_live_sessions", "Sessions kept unpacked.", registry=self._registry)

    def count(self, call: str, status: int, seconds: float, phases: dict[str, float]) -> None:
        """One request answered."""
        self._requests.labels(call, str(status)).inc()
        self._seconds.labels(call).observe(seconds)
        for name, part in phases.items():
            self._phases.labels(name).observe(part)

    def render(self, *, feature_bytes: int, live_sessions: int) -> str:
        """The text format."""
        self._features.set(feature_bytes)
        self._live.set(live_sessions)
        return generate_latest(self._registry).decode()
