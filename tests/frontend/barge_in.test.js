// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { heardText } from "../../frontend/captions.js";
import { moodOf } from "../../frontend/state.js";
import { Conversation, cancelled, flushed, position, speechStarted, started } from "./conversation.js";

const TEN_WORDS = "one two three four five six seven eight nine ten";

/** @param {{interrupt_response?: boolean}} [turnDetection] */
function speaking(turnDetection, done = false) {
  const page = new Conversation();
  page.connect(turnDetection);
  page.answer(TEN_WORDS, { done });
  page.feed(started, position(420));
  return page;
}

test("speech flushes the player before anything else is done", () => {
  const page = speaking();
  assert.deepEqual(page.feed(speechStarted)[0], { kind: "flush" });
  assert.equal(moodOf(page.state), "interrupted");
});

test("truncation names the samples the player counted, not the last report", () => {
  const page = speaking();
  page.feed(speechStarted);
  assert.deepEqual(page.feed(flushed(431.7, 568.3)), [
    {
      kind: "send",
      event: { type: "conversation.item.truncate", item_id: "item_a", content_index: 0, audio_end_ms: 431 },
    },
    {
      kind: "send",
      event: { type: "s2s.playback.updated", item_id: "item_a", audio_played_ms: 431, ended: true },
    },
  ]);
});

test("an answer still being made is truncated even when all that arrived was played", () => {
  const page = speaking();
  page.feed(speechStarted, flushed(1000, 0));
  assert.equal(page.sent.filter((event) => event.type === "conversation.item.truncate").length, 1);
});

test("an answer the server closed early is truncated though all that arrived was played", () => {
  const page = speaking();
  const closed = { type: "response.output_audio.done", response_id: "resp_1", item_id: "item_a" };
  page.feed(speechStarted, closed, cancelled, flushed(1000, 0));
  assert.equal(page.sent.filter((event) => event.type === "conversation.item.truncate").length, 1);
});

test("an answer heard to its end is not truncated", () => {
  const page = speaking({}, true);
  page.feed(speechStarted, flushed(1000, 0));
  assert.equal(page.sent.filter((event) => event.type === "conversation.item.truncate").length, 0);
  assert.equal(page.item("item_a").interrupted, false);
});

test("an answer complete on the wire but not yet heard is truncated", () => {
  const page = speaking({}, true);
  page.feed(speechStarted, flushed(430, 570));
  assert.equal(page.sent.filter((event) => event.type === "conversation.item.truncate").length, 1);
  assert.equal(page.item("item_a").interrupted, true);
});

test("audio of an interrupted answer that arrives late is not played", () => {
  const page = speaking();
  page.feed(speechStarted);
  const late = { type: "response.output_audio.delta", response_id: "resp_1", item_id: "item_a", delta: "AAAA" };
  assert.deepEqual(page.feed(late), []);
});

test("the answer after an interruption is played", () => {
  const page = speaking();
  page.feed(speechStarted, cancelled, flushed(430, 570));
  const commands = page.answer("fine", { responseId: "resp_2", itemId: "item_b" });
  assert.deepEqual(
    commands.map((command) => command.kind),
    ["play", "finish"],
  );
});

test("with interruption switched off, speech leaves the answer alone", () => {
  const page = speaking({ interrupt_response: false });
  assert.ok(page.feed(speechStarted).every((command) => command.kind !== "flush"));
  const delta = { type: "response.output_audio.delta", response_id: "resp_1", item_id: "item_a", delta: "AAAA" };
  assert.deepEqual(page.feed(delta), [{ kind: "play", itemId: "item_a", audio: "AAAA" }]);
  assert.equal(moodOf(page.state), "speaking");
});

test("a response cancelled without speech falls silent too", () => {
  const page = speaking();
  assert.deepEqual(page.feed(cancelled), [{ kind: "flush" }]);
});

test("a cancelled response that had nothing to say flushes nothing", () => {
  const page = new Conversation();
  page.connect();
  page.feed({ type: "response.created", response: { id: "resp_1", status: "in_progress", output: [] } });
  assert.deepEqual(page.feed(cancelled), []);
});

test("words cut in half count as heard from their middle on", () => {
  const page = speaking();
  page.feed(speechStarted, cancelled, flushed(460, 540));
  assert.equal(heardText(page.item("item_a")), "one two three four five");
  const sooner = speaking();
  sooner.feed(speechStarted, cancelled, flushed(440, 560));
  assert.equal(heardText(sooner.item("item_a")), "one two three four");
});

test("the server's word on what was heard wins", () => {
  const page = speaking();
  page.feed(speechStarted, flushed(460, 540), {
    type: "s2s.item.heard",
    item_id: "item_a",
    transcript: "one two",
    heard_chars: 7,
    audio_end_ms: 460,
  });
  assert.equal(heardText(page.item("item_a")), "one two");
});

test("ducking ramps the player and shows, dropping it takes both back and forgets the noise", () => {
  const page = speaking();
  page.feed({ type: "s2s.input_transcript.updated", item_id: "item_noise", text: "uh", stable_chars: 0 });
  const duck = { type: "s2s.playback.gain", gain: 0.25, ramp_ms: 40, reason: "speech_onset" };
  assert.deepEqual(page.feed(duck), [{ kind: "gain", gain: 0.25, rampMs: 40 }]);
  assert.equal(moodOf(page.state), "ducked");
  page.feed({ type: "s2s.playback.gain", gain: 1, ramp_ms: 120, reason: "speech_dropped" });
  assert.equal(moodOf(page.state), "speaking");
  assert.equal(page.item("item_noise"), undefined);
});

test("after an interruption the next answer is not ducked", () => {
  const page = speaking();
  page.feed({ type: "s2s.playback.gain", gain: 0.25, ramp_ms: 40, reason: "speech_onset" });
  page.feed(speechStarted, flushed(430, 570));
  assert.equal(page.state.playback.gain, 1);
});

test("stopping by hand cancels, silences at once and lets nothing old through", () => {
  const page = speaking();
  assert.deepEqual(page.feed({ type: "page.stop_requested" }), [
    { kind: "send", event: { type: "response.cancel", response_id: "resp_1" } },
    { kind: "flush" },
  ]);
  const late = { type: "response.output_audio.delta", response_id: "resp_1", item_id: "item_a", delta: "AAAA" };
  assert.deepEqual(page.feed(late), []);
});
