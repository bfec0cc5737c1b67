"""Numbers for Prometheus. Labels take values of fixed lists only, so that no text or key gets in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

if TYPE_CHECKING:
    from univar.serve.engine import Engine

PATHS = (
    "/",
    "/healthz",
    "/metrics",
    "/openapi.json",
    "/v1/attribute",
    "/v1/compare",
    "/v1/embeddings",
    "/v1/map",
    "/v1/models",
)
"""What `path` may be; any other path is counted as `other`."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TOKENS = tuple(2**power for power in range(4, 17))


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "univar_requests", "Requests answered.", ("path", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "univar_request_seconds",
            "Seconds from a request's head to the end of its reply.",
            ("path",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.texts = Counter("univar_texts", "Texts embedded.", registry=self.registry)
        self.cut = Counter("univar_texts_cut", "Texts not read to their end.", registry=self.registry)
        self.tokens = Counter("univar_tokens", "Tokens embedded.", registry=self.registry)
        self.batch_tokens = Histogram(
            "univar_batch_tokens", "Tokens of a batch.", buckets=_TOKENS, registry=self.registry
        )
        self.cancelled = Counter(
            "univar_requests_cancelled", "Requests whose client left.", registry=self.registry
        )
        ProcessCollector(registry=self.registry)

    def watch(self, engine: Engine) -> None:
        """Show what waits for the engine."""
        waiting = Gauge("univar_requests_waiting", "Requests with the engine.", registry=self.registry)
        waiting.set_function(lambda: engine.load.requests)
        tokens = Gauge("univar_tokens_waiting", "Tokens that wait or are embedded.", registry=self.registry)
        tokens.set_function(lambda: engine.load.tokens)

    def batch(self, pieces: int, tokens: int) -> None:
        """Count a batch of the engine."""
        self.tokens.inc(tokens)
        self.batch_tokens.observe(tokens)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a reply."""
        label = path if path in PATHS else "other"
        self.requests.labels(label, str(status)).inc()
        self.seconds.labels(label).observe(seconds)

    def text(self) -> bytes:
        """All of them in Prometheus' format."""
        shown: bytes = generate_latest(self.registry)
        return shown
