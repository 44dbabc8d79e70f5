"""Spans on their way out: OpenTelemetry's own objects in memory, and a collector on the loopback."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from fakes import session_options
from talkover import tracing
from talkover.realtime.turn_trace import SpanEvent, TurnSpan
from talkover.sections.operation import TracingSettings
from talkover.tracing import MAX_QUEUED_SPANS, Tracing, span_writer

OFFSET_NS = 1_700_000_000_000_000_000
CHAT = TurnSpan("chat m", 100.25, 100.5, {"gen_ai.operation.name": "chat"})
TURN = TurnSpan(
    "turn", 100.0, 101.0, {"session.id": "s"}, (SpanEvent("turn_end", 100.2, {"talkover.at_ms": 200}),), "", (CHAT,)
)


def written(*spans: tuple[str, TurnSpan]) -> dict[str, ReadableSpan]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    emit = span_writer(provider.get_tracer("test"), lambda: OFFSET_NS)
    for trace, span in spans:
        emit(trace, span)
    return {span.name: span for span in exporter.get_finished_spans()}


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """(address, what was sent to it)."""
    received: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            request = ExportTraceServiceRequest()
            request.ParseFromString(self.rfile.read(int(self.headers["content-length"])))
            received.append(request)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Stuck(SpanExporter):
    """A collector that takes a batch and never answers, until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def export(self, spans: object) -> SpanExportResult:
        self.let_go.wait(30)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        self.let_go.set()


def test_times_are_those_of_the_marks_on_the_wall_clock() -> None:
    spans = written(("r", TURN))
    turn, chat = spans["turn"], spans["chat m"]
    assert (turn.start_time, turn.end_time) == (OFFSET_NS + 100 * 10**9, OFFSET_NS + 101 * 10**9)
    assert chat.end_time is not None
    assert chat.start_time is not None
    assert chat.end_time - chat.start_time == 250_000_000
    assert [(event.name, event.timestamp) for event in turn.events] == [("turn_end", OFFSET_NS + 100_200_000_000)]
    assert chat.parent is not None
    assert chat.parent.span_id == turn.context.span_id
    assert turn.parent is None
    assert chat.kind is SpanKind.CLIENT
    assert turn.status.status_code is StatusCode.UNSET


def test_what_comes_later_of_a_turn_joins_its_trace_and_another_turn_does_not() -> None:
    later, other = TurnSpan("execute_tool x", 101.0, 103.0, error="failed"), TurnSpan("another turn", 110.0, 111.0)
    spans = written(("r", TURN), ("r", later), ("q", other))
    late = spans["execute_tool x"]
    assert late.parent is not None
    assert late.parent.span_id == spans["turn"].context.span_id
    assert late.context.trace_id == spans["turn"].context.trace_id
    assert late.status.status_code is StatusCode.ERROR
    assert spans["another turn"].context.trace_id != spans["turn"].context.trace_id
    assert spans["another turn"].parent is None


def test_a_collector_gets_them_with_the_name_of_the_service() -> None:
    with collector() as (address, received):
        one = Tracing(TracingSettings(exporter="otlp", endpoint=address, service_name="desk"), "openai")
        options = session_options(info={"engines": {"llm": "m"}, "notes": []})
        one.observer("sess_1", options)._emit("r", TURN)
        one.close()
    (resource,) = received[0].resource_spans
    attributes = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
    assert attributes["service.name"] == "desk"
    assert attributes["service.version"]
    assert {span.name for span in resource.scope_spans[0].spans} == {"turn", "chat m"}


def test_nothing_is_sampled_at_a_ratio_of_zero() -> None:
    exporter = InMemorySpanExporter()
    one = Tracing(TracingSettings(exporter="otlp", sample_ratio=0), "openai", exporter)
    one.observer("sess_1", session_options())._emit("r", TURN)
    one.close()
    assert exporter.get_finished_spans() == ()


def test_a_collector_that_hangs_costs_a_call_nothing_and_the_queue_is_bounded() -> None:
    exporter = Stuck()
    one = Tracing(TracingSettings(exporter="otlp"), "openai", exporter)
    emit = one.observer("sess_1", session_options())._emit
    began_s = time.process_time()
    for index in range(2 * MAX_QUEUED_SPANS):
        emit(str(index), CHAT)
    assert time.process_time() - began_s < 5
    (processor,) = one._provider._active_span_processor._span_processors
    assert len(processor._batch_processor._queue) <= MAX_QUEUED_SPANS
    exporter.let_go.set()
    one.close()


def test_a_collector_that_is_away_is_told_once_and_delays_no_stop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tracing, "EXPORT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(tracing._now_and_then, "_next_s", 0.0)
    one = Tracing(TracingSettings(exporter="otlp", endpoint="http://127.0.0.1:9"), "openai")
    emit = one.observer("sess_1", session_options())._emit
    with caplog.at_level(logging.DEBUG):
        for index in range(1200):
            emit(str(index), CHAT)
        began_s = time.monotonic()
        one.close()
    assert time.monotonic() - began_s < tracing.CLOSE_TIMEOUT_S + 2
    told = [record for record in caplog.records if record.name == tracing.OTLP_LOGGER]
    assert len(told) == 1
