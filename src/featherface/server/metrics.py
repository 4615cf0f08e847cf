"""What Prometheus is told. Numbers only; nothing names a client or a picture."""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

from featherface import __version__
from featherface.server.limits import Budget, Service
from featherface.server.workers import Workers

SECONDS = (0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.2, 0.35, 0.5, 1, 2, 5, 10, 20, 30, 60)
"""Upper ends of the classes that times fall into."""


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self, service: Service, workers: Workers, budget: Budget) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "featherface_requests",
            "Requests, by what they asked for and how they were answered.",
            ("route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "featherface_request_seconds",
            "From the head of a request to the end of its answer.",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._pictures = Counter(
            "featherface_pictures",
            "Pictures, by their status: 200, or why nothing was done with them.",
            ("status",),
            registry=self._registry,
        )
        self._faces = Counter("featherface_faces", "Faces found.", registry=self._registry)
        queue = Gauge(
            "featherface_queue_pictures",
            "Pictures that wait or are worked on.",
            registry=self._registry,
        )
        queue.set_function(lambda: workers.under_way)
        held = Gauge(
            "featherface_held_bytes",
            "Bytes of bodies and answers in memory.",
            registry=self._registry,
        )
        held.set_function(lambda: budget.taken)
        build = Info("featherface", "What is running.", registry=self._registry)
        build.info({"version": __version__, "weights_sha256": service.detector.sha256})

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """A request is over."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_picture(self, status: int, faces: int) -> None:
        """A picture is done."""
        self._pictures.labels(str(status)).inc()
        self._faces.inc(faces)

    def text(self) -> bytes:
        """All of it in the text format of Prometheus."""
        return generate_latest(self._registry)
