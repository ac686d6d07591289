"""What is counted, in Prometheus terms. Label values come from route templates, so their number is bounded.

A request is counted in plain integers, on the event loop's one thread; Prometheus' own objects are made when somebody
asks, because they take locks and walk their buckets on every observation.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LABELS = [*map(str, _BOUNDS_S), "+Inf"]


class _Durations:
    """How often a duration fell between two bounds."""

    __slots__ = ("counts", "sum_s")

    def __init__(self) -> None:
        self.counts = [0] * len(_LABELS)
        self.sum_s = 0.0

    def buckets(self) -> list[tuple[str, float]]:
        """Cumulative, as Prometheus wants them."""
        total = 0
        cumulative: list[tuple[str, float]] = []
        for label, count in zip(_LABELS, self.counts, strict=True):
            total += count
            cumulative.append((label, total))
        return cumulative


class HttpMetrics(Collector):
    """`in_flight`, and `websockets` and `streams` by dialect, are changed by who knows them."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.websockets: Counter[str] = Counter()
        self.streams: Counter[str] = Counter()
        self._requests: Counter[tuple[str, str, str, int]] = Counter()
        self._durations: dict[tuple[str, str], _Durations] = {}
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._registry.register(self)

    def observe(self, dialect: str, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count one answered request; `seconds` is None for an event stream."""
        self._requests[dialect, method, route, status] += 1
        if seconds is not None:
            durations = self._durations.get((dialect, route))
            if durations is None:
                durations = self._durations[dialect, route] = _Durations()
            durations.counts[bisect_left(_BOUNDS_S, seconds)] += 1
            durations.sum_s += seconds

    def collect(self) -> Iterable[Metric]:
        """What Prometheus' registry asks for."""
        requests = CounterMetricFamily(
            "gesta_http_requests", "Requests answered.", labels=["dialect", "method", "route", "status"]
        )
        for (dialect, method, route, status), count in self._requests.items():
            requests.add_metric([dialect, method, route, str(status)], count)
        seconds = HistogramMetricFamily(
            "gesta_http_request_seconds",
            "Time from a request's head to the end of its answer; event streams are not observed.",
            labels=["dialect", "route"],
        )
        for labels, durations in self._durations.items():
            seconds.add_metric(list(labels), durations.buckets(), durations.sum_s)
        in_flight = GaugeMetricFamily("gesta_http_requests_in_flight", "Requests being answered.", value=self.in_flight)
        websockets = GaugeMetricFamily("gesta_websocket_connections", "Open WebSocket connections.", labels=["dialect"])
        streams = GaugeMetricFamily("gesta_event_streams", "Open event streams.", labels=["dialect"])
        for family, counted in ((websockets, self.websockets), (streams, self.streams)):
            for dialect, count in counted.items():
                family.add_metric([dialect], count)
        return [requests, seconds, in_flight, websockets, streams]

    def render(self) -> bytes:
        """The text exposition format, version 0.0.4."""
        return generate_latest(self._registry)
