"""Traces of turns by OpenTelemetry: to a collector (OTLP over HTTP) or as lines on the standard output.

Spans are made from finished turns, with the times they had. They wait in a bounded queue for a thread of the SDK: a
collector that is slow or away costs a call nothing, and what does not fit is dropped.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from talkover import __version__
from talkover.config import ConfigError
from talkover.realtime.session_options import SessionOptions
from talkover.realtime.turn_trace import MAX_REMEMBERED, Emit, Traced, TurnSpan, TurnTracer
from talkover.sections.operation import TracingSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import SpanContext, Tracer

MAX_QUEUED_SPANS = 2048
EXPORT_EVERY_MS = 1000
EXPORT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 3.0
"""what the last spans get to leave when the server stops"""
OTLP_PATH = "/v1/traces"
OTLP_LOGGER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
SAID_EVERY_S = 60.0
"""how often the log says that the collector cannot be reached"""


class Tracing:
    """Where the turns of all sessions are traced to."""

    def __init__(self, settings: TracingSettings, provider: str, exporter: SpanExporter | None = None) -> None:
        """`provider`: kind of the LLM engine. `exporter`: instead of what the settings name.

        Raises ConfigError when the extra is not installed.
        """
        try:
            from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
            from opentelemetry.sdk.trace import SpanLimits, TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

            exporter = exporter or _exporter(settings)
        except ImportError as error:
            message = f"tracing.exporter: {settings.exporter!r} needs OpenTelemetry: pip install 'talkover[tracing]'"
            raise ConfigError([message]) from error
        logging.getLogger(OTLP_LOGGER).addFilter(_now_and_then)
        self._settings = settings
        self._llm_provider = provider
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(settings.sample_ratio)),
            resource=Resource.create({SERVICE_NAME: settings.service_name, SERVICE_VERSION: __version__}),
            span_limits=SpanLimits(max_events=128, max_attributes=64, max_attribute_length=4096),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(exporter, MAX_QUEUED_SPANS, EXPORT_EVERY_MS, MAX_QUEUED_SPANS // 4)
        )
        self._tracer = self._provider.get_tracer("talkover", __version__)

    def observer(self, session_id: str, options: SessionOptions) -> TurnTracer:
        """One for a session."""
        model: str = options.info["engines"].get("llm", options.model)
        traced = Traced(session_id, self._llm_provider, model, self._settings.content)
        return TurnTracer(traced, span_writer(self._tracer))

    def close(self) -> None:
        """Send what is left, for a bounded time."""
        closing = threading.Thread(target=self._provider.shutdown, name="tracing-close", daemon=True)
        closing.start()
        closing.join(CLOSE_TIMEOUT_S)


def span_writer(tracer: Tracer, wall_offset_ns: Callable[[], int] | None = None) -> Emit:
    """Writes the spans of one session with `tracer`.

    `wall_offset_ns`: what to add to the monotonic clock to get Unix time.
    """
    from opentelemetry.context import Context
    from opentelemetry.trace import NonRecordingSpan, SpanKind, set_span_in_context
    from opentelemetry.trace.status import StatusCode

    roots: OrderedDict[str, SpanContext] = OrderedDict()
    offset_of = wall_offset_ns or _wall_offset_ns

    def write(span: TurnSpan, parent: Context, offset_ns: int) -> SpanContext:
        def unix_ns(at_s: float) -> int:
            return offset_ns + round(at_s * 1e9)

        kind = SpanKind.CLIENT if span.name.startswith("chat ") else SpanKind.INTERNAL
        written = tracer.start_span(span.name, parent, kind, span.attributes, start_time=unix_ns(span.start_s))
        for event in span.events:
            written.add_event(event.name, event.attributes, unix_ns(event.at_s))
        if span.error:
            written.set_status(StatusCode.ERROR, span.error)
        inside = set_span_in_context(written, Context())
        for child in span.children:
            write(child, inside, offset_ns)
        written.end(unix_ns(span.end_s))
        return written.get_span_context()

    def emit(trace: str, span: TurnSpan) -> None:
        root = roots.get(trace)
        parent = Context() if root is None else set_span_in_context(NonRecordingSpan(root), Context())
        context = write(span, parent, offset_of())
        if root is None:
            roots[trace] = context
            while len(roots) > MAX_REMEMBERED:
                roots.popitem(last=False)

    return emit


def _exporter(settings: TracingSettings) -> SpanExporter:
    if settings.exporter == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter(out=sys.stdout, formatter=lambda span: f"{span.to_json(indent=None)}\n")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    endpoint = settings.endpoint
    if urlsplit(endpoint).path in ("", "/"):
        endpoint = endpoint.rstrip("/") + OTLP_PATH
    return OTLPSpanExporter(endpoint, timeout=EXPORT_TIMEOUT_S)


class _NowAndThen(logging.Filter):
    """Lets a record pass, and the next one no sooner than a while later: each batch would say the same."""

    def __init__(self, every_s: float) -> None:
        super().__init__()
        self._every_s = every_s
        self._next_s = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        now_s = time.monotonic()
        if record.levelno < logging.ERROR or now_s < self._next_s:
            return False
        self._next_s = now_s + self._every_s
        return True


_now_and_then = _NowAndThen(SAID_EVERY_S)


def _wall_offset_ns() -> int:
    """Taken anew for each trace: the wall clock is set now and then, and drifts against the monotonic one."""
    return time.time_ns() - time.monotonic_ns()
