"""What is counted, in Prometheus terms. Label values come from route templates, so their number is bounded."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class HttpMetrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._requests = Counter(
            "gesta_http_requests",
            "Requests answered.",
            ["dialect", "method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "gesta_http_request_seconds",
            "Time from a request's head to the end of its answer; event streams are not observed.",
            ["dialect", "route"],
            buckets=_BUCKETS_S,
            registry=self.registry,
        )
        self.in_flight = Gauge("gesta_http_requests_in_flight", "Requests being answered.", registry=self.registry)
        self.websockets = Gauge(
            "gesta_websocket_connections", "Open WebSocket connections.", ["dialect"], registry=self.registry
        )
        self.streams = Gauge("gesta_event_streams", "Open event streams.", ["dialect"], registry=self.registry)
        self._known: dict[tuple[str, str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, dialect: str, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count one answered request; `seconds` is None for an event stream."""
        key = (dialect, method, route, status)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = (
                self._requests.labels(dialect, method, route, str(status)),
                self._seconds.labels(dialect, route),
            )
        known[0].inc()
        if seconds is not None:
            known[1].observe(seconds)

    def render(self) -> bytes:
        """The text exposition format, version 0.0.4."""
        return generate_latest(self.registry)
