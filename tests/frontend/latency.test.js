// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { medianTotalMs, turnOf, waitingParts } from "../../frontend/latency.js";
import { Conversation, started } from "./conversation.js";

const MARKS = {
  speech_end: 0,
  turn_end: 520,
  transcript_final: 590,
  llm_first_token: 810,
  tts_first_audio: 1010,
  first_audio_sent: 1015,
};

/** @param {Record<string, number>} marks */
function metrics(marks) {
  return /** @type {const} */ ({
    type: "s2s.turn.metrics",
    item_id: "item_u",
    response_id: "resp_1",
    status: "completed",
    marks_ms: marks,
    endpointing_ms: 520,
    asr_ms: 70,
    audio_ms: 3400,
    interrupted_at_ms: null,
  });
}

test("parts add up to the time the first audio left", () => {
  const parts = waitingParts(MARKS);
  assert.deepEqual(
    parts.map((part) => [part.name, part.ms]),
    [
      ["endpointing", 520],
      ["asr", 70],
      ["llm", 220],
      ["tts", 200],
      ["send", 5],
    ],
  );
});

test("stages that ran ahead of the end of turn cost nothing", () => {
  const parts = waitingParts({ ...MARKS, transcript_final: 300, llm_first_token: 400, tts_first_audio: 480, first_audio_sent: 523 });
  assert.deepEqual(
    parts.map((part) => [part.name, part.ms]),
    [
      ["endpointing", 520],
      ["send", 3],
    ],
  );
});

test("network and playback are added to what was sent, and to nothing else", () => {
  const turn = turnOf(metrics(MARKS), 12, 45);
  assert.equal(turn.totalMs, 1015 + 12 + 45);
  assert.equal(turn.toSpeech, true);
  const silent = turnOf(metrics({ speech_end: 0, turn_end: 520 }), 12, null);
  assert.equal(silent.totalMs, null);
  assert.deepEqual(
    silent.parts.map((part) => part.name),
    ["endpointing"],
  );
});

test("a text turn counts from the request", () => {
  const turn = turnOf(metrics({ requested: 0, llm_first_token: 30, tts_first_audio: 60, first_audio_sent: 61 }), null, null);
  assert.equal(turn.toSpeech, false);
  assert.equal(turn.totalMs, 61);
  assert.equal(medianTotalMs([turn]), null);
});

test("the median is that of spoken turns that were heard", () => {
  const totals = [400, 900, 500].map((sent) => turnOf(metrics({ ...MARKS, turn_end: 1, first_audio_sent: 1000 + sent }), null, null));
  assert.equal(medianTotalMs(totals), 1500);
  assert.equal(medianTotalMs(totals.slice(0, 2)), 1650);
  assert.equal(medianTotalMs([]), null);
});

test("the time to the first rendered sample joins the turn, whichever is known first", () => {
  for (const soundsFirst of [true, false]) {
    const page = new Conversation();
    page.connect();
    page.feed({ type: "page.round_trip", ms: 30 }, { type: "page.round_trip", ms: 10 }, { type: "page.round_trip", ms: 50 });
    page.nowMs = 1000;
    page.answer("hello");
    page.nowMs = 1060;
    const events = [started, metrics(MARKS)];
    page.feed(...(soundsFirst ? events : events.reverse()));
    assert.equal(page.state.turns[0]?.totalMs, 1015 + 10 + 60);
  }
});
