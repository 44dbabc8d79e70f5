"""Marks of a turn and the Prometheus page, read back with Prometheus' own parser."""

import threading
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from talkover.messages import Usage
from talkover.metrics import Metrics, Timeline, TurnMetrics


def spoken_turn() -> Timeline:
    timeline = Timeline()
    timeline.mark("first_audio_sent", 101.015)
    timeline.mark("speech_end", 100.0)
    timeline.mark("turn_end", 100.52)
    timeline.mark("transcript_final", 100.59)
    timeline.mark("llm_first_token", 100.81)
    timeline.mark("tts_first_audio", 101.01)
    timeline.mark("first_audible", 101.06)
    return timeline


def finished(timeline: Timeline, **changes: Any) -> TurnMetrics:
    return TurnMetrics.of(timeline, **({"item_id": "item_u", "response_id": "resp_r", "status": "completed"} | changes))


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    page, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_wire_counts_from_the_end_of_speech() -> None:
    wire = finished(spoken_turn(), audio_ms=3400.2, tts_rtf=0.2104).wire()
    assert wire == {
        "item_id": "item_u",
        "response_id": "resp_r",
        "status": "completed",
        "marks_ms": {
            "speech_end": 0,
            "turn_end": 520,
            "transcript_final": 590,
            "llm_first_token": 810,
            "tts_first_audio": 1010,
            "first_audio_sent": 1015,
            "first_audible": 1060,
        },
        "endpointing_ms": 520,
        "asr_ms": 70,
        "llm_ttft_ms": 220,
        "tts_ttfb_ms": 200,
        "voice_to_voice_ms": 1060,
        "audio_ms": 3400,
        "tts_rtf": 0.21,
        "interrupted_at_ms": None,
    }
    assert next(iter(wire["marks_ms"])) == "speech_end"
    assert all(type(at_ms) is int for at_ms in wire["marks_ms"].values())


def test_the_line_of_the_log_has_the_same_numbers() -> None:
    line = finished(spoken_turn(), status="cancelled", reason="turn_detected", audio_ms=700).line()
    assert line == (
        "cancelled (turn_detected), 700 ms of audio; "
        "endpointing=520 asr=70 llm_ttft=220 tts_ttfb=200 voice_to_voice=1060; "
        "speech_end=0 turn_end=520 transcript_final=590 llm_first_token=810 tts_first_audio=1010 "
        "first_audio_sent=1015 first_audible=1060"
    )


def test_first_mark_of_a_name_wins() -> None:
    timeline = Timeline()
    timeline.mark("speech_end", 5.0)
    timeline.mark("llm_first_token", 6.0)
    timeline.mark("llm_first_token", 9.0)
    assert timeline.marks_ms() == {"speech_end": 0, "llm_first_token": 1000}
    assert timeline.at_s("llm_first_token") == 6.0
    assert timeline.at_s("turn_end") is None


def test_text_turn_counts_from_the_request_and_has_no_voice_to_voice() -> None:
    timeline = Timeline()
    timeline.mark("requested", 10.0)
    timeline.mark("llm_first_token", 10.3)
    wire = finished(timeline, item_id="item_t", status="cancelled", interrupted_at_ms=40).wire()
    assert wire["marks_ms"] == {"requested": 0, "llm_first_token": 300}
    assert wire["llm_ttft_ms"] == 300
    assert wire["voice_to_voice_ms"] is None
    assert wire["endpointing_ms"] is None
    assert wire["interrupted_at_ms"] == 40


def test_a_stage_that_speculated_added_nothing() -> None:
    timeline = Timeline()
    timeline.mark("speech_end", 0.0)
    timeline.mark("transcript_final", 0.25)
    timeline.mark("llm_first_token", 0.3)
    timeline.mark("turn_end", 0.5)
    stages = timeline.stages_ms()
    assert stages["asr"] == 0
    assert stages["endpointing"] == 500
    assert stages["llm_ttft"] > 0


def test_no_marks_without_a_zero_point() -> None:
    timeline = Timeline()
    timeline.mark("llm_first_token", 1.0)
    assert timeline.marks_ms() == {}


def test_page_holds_what_was_counted() -> None:
    metrics = Metrics(max_sessions=16)
    metrics.sessions_active.inc()
    metrics.sessions_total.inc()
    metrics.turns_total.labels("completed").inc()
    metrics.responses_total.labels("cancelled").inc(2)
    metrics.errors_total.labels("llm").inc()
    metrics.observe_turn(finished(spoken_turn(), audio_ms=3400, usage=Usage(120, 40)))
    page = samples(metrics)
    assert page["talkover_sessions_active", ()] == 1
    assert page["talkover_sessions_max", ()] == 16
    assert page["talkover_sessions_total", ()] == 1
    assert page["talkover_audio_seconds_total", (("direction", "out"),)] == 3.4
    assert page["talkover_llm_tokens_total", (("kind", "input"),)] == 120
    assert page["talkover_llm_tokens_total", (("kind", "output"),)] == 40
    assert page["process_resident_memory_bytes", ()] > 1 << 20
    assert page["talkover_threads", ()] >= 1
    assert page["talkover_turns_total", (("status", "completed"),)] == 1
    assert page["talkover_responses_total", (("status", "cancelled"),)] == 2
    assert page["talkover_errors_total", (("stage", "llm"),)] == 1
    assert page["talkover_stage_latency_seconds_count", (("stage", "voice_to_voice"),)] == 1
    assert page["talkover_stage_latency_seconds_bucket", (("le", "1.0"), ("stage", "voice_to_voice"))] == 0
    assert page["talkover_stage_latency_seconds_bucket", (("le", "1.2"), ("stage", "voice_to_voice"))] == 1


def test_two_servers_do_not_share_counters() -> None:
    first, second = Metrics(), Metrics()
    first.barge_ins_total.inc()
    assert samples(first)["talkover_barge_ins_total", ()] == 1
    assert samples(second)["talkover_barge_ins_total", ()] == 0


def test_queue_depth_is_that_of_the_fullest_session() -> None:
    metrics = Metrics()
    metrics.watch_queues("a", lambda: {"recognizer": 3, "synthesizer": 0})
    metrics.watch_queues("b", lambda: {"recognizer": 1, "synthesizer": 2})
    page = samples(metrics)
    assert page["talkover_queue_depth", (("queue", "recognizer"),)] == 3
    assert page["talkover_queue_depth", (("queue", "synthesizer"),)] == 2
    metrics.forget_queues("a")
    metrics.forget_queues("b")
    metrics.forget_queues("b")
    assert not [name for name, _ in samples(metrics) if name == "talkover_queue_depth"]


def test_counting_from_many_threads_loses_nothing() -> None:
    metrics = Metrics()

    def count() -> None:
        for _ in range(500):
            metrics.stale_dropped_total.inc()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert samples(metrics)["talkover_stale_dropped_total", ()] == 2000
