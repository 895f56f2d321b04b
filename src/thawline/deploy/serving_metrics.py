"""What the server counts, as Prometheus reads it."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Counters of one server; each server has a registry, so that two in one process do not mix."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "thawline_requests", "Requests by path and status", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "thawline_request_seconds", "Time from request to answer", ["path"], buckets=_SECONDS, registry=registry
        )
        self.images = Counter("thawline_images", "Images: answered or unreadable", ["outcome"], registry=registry)
        self.batch_size = Histogram(
            "thawline_batch_size", "Images that were computed together", buckets=_SIZES, registry=registry
        )
        self.waiting = Gauge("thawline_waiting_images", "Images that wait to be computed", registry=registry)
        self.held = Gauge("thawline_held_bytes", "Bytes of bodies that are being worked on", registry=registry)

    def text(self) -> bytes:
        """In the text format of Prometheus 0.0.4."""
        return generate_latest(self._registry)
