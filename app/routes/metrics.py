"""/metrics: what Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.admission.door import Door
from app.gallery.gallery import Gallery
from app.operations.metrics import registry
from model.errors import ParallaxError

router = APIRouter(tags=["health"])

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SCHEMA = {"schema": {"type": "string"}}
_TEXT: dict[int | str, dict[str, Any]] = {200: {"description": "Metrics", "content": {"text/plain": _SCHEMA}}}


@router.get("/metrics", response_class=Response, responses=_TEXT)
def metrics(request: Request) -> Response:
    """Counters, gauges and histograms in the text format of Prometheus."""
    of_service = CollectorRegistry()
    of_service.register(_Service(request.app))
    return Response(generate_latest(registry) + generate_latest(of_service), media_type=CONTENT_TYPE)


class _Service(Collector):
    """How things stand in one service at the moment."""

    def __init__(self, app: FastAPI) -> None:
        self._state = app.state

    def collect(self) -> Iterator[Metric]:
        yield from self._queues()
        yield GaugeMetricFamily("parallax_body_bytes", "Bytes of bodies of requests.", self._state.bodies.held)
        try:
            gallery: Gallery = self._state.startup.gallery
            yield from self._gallery(gallery)
        except ParallaxError:  # not open yet, or the disk fails: what is not known is left out
            return

    def _queues(self) -> Iterator[Metric]:
        waiting = GaugeMetricFamily("parallax_queue_depth", "Requests that wait for their turn.", labels=["queue"])
        working = GaugeMetricFamily("parallax_queue_working", "Requests that are worked on.", labels=["queue"])
        doors: Iterable[Door] = self._state.doors
        for door in doors:
            waiting.add_metric([door.name], door.waiting)
            working.add_metric([door.name], door.working)
        yield waiting
        yield working

    def _gallery(self, gallery: Gallery) -> Iterator[Metric]:
        depth = GaugeMetricFamily("parallax_lane_depth", "Inputs that wait for the model.", labels=["kind"])
        for kind, count in gallery.waiting_for_model().items():
            depth.add_metric([kind], count)
        yield depth
        yield GaugeMetricFamily("parallax_images", "Pictures in the gallery.", len(gallery))
        yield GaugeMetricFamily("parallax_index_vectors", "Vectors that are searched.", gallery.indexed)
        recall = gallery.recall_estimate
        yield GaugeMetricFamily(
            "parallax_index_exact", "1 if searches compare with every vector, 0 if with candidates.", recall is None
        )
        yield GaugeMetricFamily(
            "parallax_index_recall_estimate",
            "Share of the ten nearest vectors that searches without a filter find, as it was measured.",
            1 if recall is None else recall,
        )
        model = GaugeMetricFamily("parallax_model_info", "The model that is at work.", labels=["name", "fingerprint"])
        model.add_metric([gallery.encoder.name, gallery.encoder.fingerprint], 1)
        yield model
