"""What the service counts and times, for Prometheus. Names and labels are an interface: dashboards are made of them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]

registry = CollectorRegistry()
"""Of this process; what belongs to one service in it is read when it is asked for (`routes/metrics.py`)."""
ProcessCollector(registry=registry)

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

REQUESTS = Counter(
    "parallax_http_requests",
    "Requests that were answered, by the template of their route; none if they came to no route.",
    ["method", "route", "status"],
    registry=registry,
)
REQUEST_SECONDS = Histogram(
    "parallax_http_request_seconds",
    "From the head of a request to the end of its answer.",
    ["method", "route"],
    buckets=_SECONDS,
    registry=registry,
)
REQUESTS_UNDER_WAY = Gauge("parallax_http_requests_under_way", "Requests that are not answered yet.", registry=registry)
REFUSED = Counter(
    "parallax_refused",
    "Requests that a queue did not see through; full: it had no place, late: time was up, gone: the client had gone.",
    ["queue", "reason"],
    registry=registry,
)
BATCH_SIZE = Histogram(
    "parallax_batch_size",
    "Inputs that the model was given together.",
    ["kind"],
    buckets=(1, 2, 4, 8, 16, 32, 64),
    registry=registry,
)
ENCODE_SECONDS = Histogram(
    "parallax_encode_seconds", "Of one batch in the model.", ["kind"], buckets=_SECONDS, registry=registry
)
TEXT_CACHE = Counter(
    "parallax_text_cache",
    "Texts to encode, by whether their vector was remembered: hit or miss.",
    ["outcome"],
    registry=registry,
)
ENCODE_ERRORS = Counter("parallax_encode_errors", "Inputs that the model failed on.", ["kind"], registry=registry)
SEARCH_SECONDS = Histogram(
    "parallax_search_seconds", "Of one search in the index, without encoding.", buckets=_SECONDS, registry=registry
)
INDEX_TRAININGS = Counter(
    "parallax_index_trainings", "How often lists for the index were learned from its vectors.", registry=registry
)
FETCHES = Counter(
    "parallax_fetches",
    "Pictures asked for by their address on the web, by what came of it.",
    ["outcome"],
    registry=registry,
)
STORAGE_ERRORS = Counter(
    "parallax_storage_errors",
    "full: no room on the disk; fault: a file or the catalog could not be read or written; original: the file of a"
    " picture is lost; index: the index on disk was put aside.",
    ["kind"],
    registry=registry,
)
# So that they are there as 0, and an alarm for their growth works from the first error on.
for kind in ("full", "fault", "original", "index"):
    STORAGE_ERRORS.labels(kind)
for kind in ("texts", "queries", "uploads"):
    ENCODE_ERRORS.labels(kind)
for outcome in ("hit", "miss"):
    TEXT_CACHE.labels(outcome)
