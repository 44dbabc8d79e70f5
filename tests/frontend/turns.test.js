// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { heardText } from "../../frontend/captions.js";
import { moodOf, problemOf, queueWording } from "../../frontend/state.js";
import { reduce } from "../../frontend/reduce.js";
import { Conversation, connection, flushed, position, speechStarted, started } from "./conversation.js";

const typed = { type: "page.text_submitted", item_id: "item_t", text: "What is it?" };

test("a spoken turn runs through the moods in order", () => {
  const page = new Conversation();
  const moods = [moodOf(page.state)];
  const step = (/** @type {any[]} */ ...events) => {
    page.feed(...events);
    moods.push(moodOf(page.state));
  };
  step({ type: "page.microphone", status: "asking", problem: null });
  step({ type: "page.microphone", status: "on", problem: null }, connection("connecting"));
  page.connect();
  step();
  step(speechStarted);
  step({ type: "input_audio_buffer.speech_stopped", item_id: "item_u", audio_end_ms: 2000 });
  page.answer("yes");
  step();
  step(started);
  step({ type: "page.player.ended", item_id: "item_a", played_ms: 100 });
  assert.deepEqual(moods, [
    "idle",
    "asking",
    "connecting",
    "listening",
    "hearing",
    "thinking",
    "listening",
    "speaking",
    "listening",
  ]);
});

test("a typed question waits for the flush, then asks", () => {
  const page = new Conversation();
  page.connect();
  page.answer("one two three four", { done: false });
  page.feed(started, position(150));
  assert.deepEqual(page.feed(typed), [
    { kind: "send", event: { type: "response.cancel", response_id: "resp_1" } },
    { kind: "flush" },
  ]);
  const types = page.feed(flushed(160, 240)).map((command) => (command.kind === "send" ? command.event.type : ""));
  assert.deepEqual(types, [
    "conversation.item.truncate",
    "s2s.playback.updated",
    "conversation.item.create",
    "response.create",
  ]);
  assert.equal(moodOf(page.state), "thinking");
  assert.deepEqual(page.feed({ type: "page.player.flushed", items: [] }), []);
});

test("a question typed before there is a connection is asked once there is one", () => {
  const page = new Conversation();
  page.feed(typed);
  assert.equal(page.sent.length, 0);
  page.connect();
  assert.deepEqual(
    page.sent.map((event) => event.type),
    ["conversation.item.create", "response.create"],
  );
  assert.equal(page.state.pendingText, null);
});

test("the server's echo of a typed question does not show it twice", () => {
  const page = new Conversation();
  page.connect();
  page.feed(typed, {
    type: "conversation.item.added",
    item: { id: "item_t", type: "message", role: "user", content: [{ type: "input_text", text: "What is it?" }] },
    previous_item_id: null,
  });
  assert.equal(page.state.items.length, 1);
});

test("partials grow, their stable part never shrinks under deltas, the final replaces them", () => {
  const page = new Conversation();
  page.connect();
  page.feed(speechStarted);
  page.feed({ type: "s2s.input_transcript.updated", item_id: "item_u", text: "what is tall", stable_chars: 8 });
  page.feed({ type: "conversation.item.input_audio_transcription.delta", item_id: "item_u", delta: "what is " });
  assert.equal(page.item("item_u").text, "what is tall");
  assert.equal(page.item("item_u").stableChars, 8);
  page.feed({
    type: "conversation.item.input_audio_transcription.completed",
    item_id: "item_u",
    transcript: "What is Talkover?",
  });
  assert.equal(page.item("item_u").text, "What is Talkover?");
  assert.equal(page.item("item_u").final, true);
  page.feed({ type: "s2s.input_transcript.updated", item_id: "item_u", text: "late", stable_chars: 0 });
  assert.equal(page.item("item_u").text, "What is Talkover?");
});

test("deltas alone make a caption", () => {
  const page = new Conversation();
  page.connect();
  const delta = { type: "conversation.item.input_audio_transcription.delta", item_id: "item_u" };
  page.feed({ ...delta, delta: "hello " }, { ...delta, delta: "there" });
  assert.equal(page.item("item_u").text, "hello there");
});

test("a cough leaves no trace and keeps nobody waiting", () => {
  const page = new Conversation();
  page.connect();
  page.feed(
    { type: "page.microphone", status: "on", problem: null },
    speechStarted,
    { type: "input_audio_buffer.speech_stopped", item_id: "item_u", audio_end_ms: 2000 },
    { type: "conversation.item.input_audio_transcription.completed", item_id: "item_u", transcript: "" },
  );
  assert.deepEqual(page.state.items, []);
  assert.equal(moodOf(page.state), "listening");
});

test("what is played is reported every 250 ms and at the end", () => {
  const page = new Conversation();
  page.connect();
  page.answer("one two three four five six");
  page.feed(started);
  for (let ms = 50; ms <= 600; ms += 50) page.feed(position(ms));
  page.feed({ type: "page.player.ended", item_id: "item_a", played_ms: 600 });
  const reports = page.sent.filter((event) => event.type === "s2s.playback.updated");
  assert.deepEqual(
    reports.map((event) => [event.audio_played_ms, event.ended]),
    [
      [250, false],
      [500, false],
      [600, true],
    ],
  );
});

test("a failed response and an error become notices, a lost race does not", () => {
  const page = new Conversation();
  page.connect();
  const failed = { type: "failed", error: { code: "llm_error", message: "The model did not answer." } };
  page.feed({ type: "response.done", response: { id: "r", status: "failed", status_details: failed, output: [] } });
  page.feed({ type: "error", error: { code: "invalid_value", message: "speed must be at most 1.5" } });
  page.feed({ type: "error", error: { code: "response_cancel_not_active", message: "Cancellation failed" } });
  assert.deepEqual(
    page.state.notices.map((notice) => notice.text),
    ["The model did not answer.", "speed must be at most 1.5"],
  );
  page.feed({ type: "page.notice_dismissed", id: 1 });
  assert.equal(page.state.notices.length, 1);
});

test("a lost connection lets what arrived play out and waits for no more", () => {
  const page = new Conversation();
  page.connect();
  page.answer("one two three", { done: false });
  page.feed(started);
  assert.deepEqual(page.feed(connection("waiting", "lost")), [{ kind: "finish", itemId: "item_a" }]);
  assert.equal(moodOf(page.state), "reconnecting");
  assert.equal(problemOf(page.state), "lost");
});

test("a new connection gets the conversation as it was heard", () => {
  const page = new Conversation();
  page.connect();
  page.feed(typed, { type: "page.player.flushed", items: [] });
  page.answer("one two three four five", { done: false });
  page.feed(started, position(150), speechStarted, flushed(150, 350), connection("waiting", "lost"));
  const replayed = page
    .connect()
    .flatMap((command) => (command.kind === "send" ? [/** @type {any} */ (command.event).item.content[0]] : []));
  assert.deepEqual(replayed, [
    { type: "input_text", text: "What is it?" },
    { type: "output_text", text: "one" },
  ]);
});

test("speech cut off by a lost connection keeps its words", () => {
  const page = new Conversation();
  page.connect();
  page.feed(speechStarted, { type: "s2s.input_transcript.updated", item_id: "item_u", text: "so I", stable_chars: 2 });
  page.feed(connection("waiting", "lost"));
  assert.equal(page.item("item_u").final, true);
  assert.equal(page.state.speech.speaking, false);
});

test("ending the conversation silences it", () => {
  const page = new Conversation();
  page.connect();
  page.answer("one two three");
  page.feed(started);
  assert.deepEqual(page.feed(connection("closed")), [{ kind: "flush" }]);
});

test("sources of one response are collected once each", () => {
  const page = new Conversation();
  page.connect();
  const found = { type: "s2s.response.sources", response_id: "resp_1", search_id: "s" };
  const source = { id: "a", title: "A", path: "a.md", snippet: "", score: 1 };
  page.feed({ type: "s2s.response.search_started", response_id: "resp_1", search_id: "s", kind: "documents", query: "q" });
  assert.equal(page.state.evidence.resp_1?.query, "q");
  page.feed({ ...found, sources: [source] }, { ...found, sources: [source, { ...source, id: "b" }] });
  assert.deepEqual(page.state.evidence.resp_1?.sources.map((one) => one.id), ["a", "b"]);
  assert.equal(page.state.evidence.resp_1?.query, null);
});

test("a muted microphone stays muted when it is exchanged for another", () => {
  const page = new Conversation();
  page.connect();
  page.feed({ type: "page.microphone", status: "on", problem: null }, { type: "page.muted", muted: true });
  page.feed({ type: "page.microphone", status: "off", problem: null });
  page.feed({ type: "page.microphone", status: "on", problem: null });
  assert.equal(moodOf(page.state), "muted");
});

test("nothing grows without bound", () => {
  const page = new Conversation();
  page.connect();
  for (let i = 0; i < 300; i += 1) {
    page.answer("hi", { responseId: `resp_${i}`, itemId: `item_${i}` });
    page.feed({ type: "page.notice", text: String(i) });
    page.feed({ type: "s2s.turn.metrics", item_id: "u", response_id: `resp_${i}`, status: "completed", marks_ms: {} });
  }
  assert.equal(page.state.items.length, 200);
  assert.equal(page.state.turns.length, 12);
  assert.ok(page.state.notices.length <= 4);
  assert.ok(Object.keys(page.state.playStarts).length <= 50);
});

test("unknown events, and names every object has, change nothing", () => {
  const { state } = new Conversation();
  assert.equal(reduce(state, /** @type {any} */ ({ type: "rate_limits.updated" })), state);
  assert.equal(reduce(state, /** @type {any} */ ({ type: "toString" })), state);
  assert.equal(reduce(state, /** @type {any} */ ({ type: "constructor" })), state);
});

test("a written answer counts as read", () => {
  const page = new Conversation();
  page.connect();
  const ids = { response_id: "resp_1", item_id: "item_a" };
  page.feed({ type: "response.output_text.delta", ...ids, delta: "Hello" });
  page.feed({ type: "response.output_text.done", ...ids, text: "Hello." });
  assert.equal(heardText(page.item("item_a")), "Hello.");
});

test("somebody in the queue is told how far they are, until the conversation begins", () => {
  const page = new Conversation();
  page.feed(connection("connecting"), { type: "s2s.queue.updated", place: 2, estimated_wait_s: 130 });
  assert.equal(moodOf(page.state), "queued");
  assert.equal(queueWording(page.state)?.label, "You are number 2 in the queue");
  assert.match(queueWording(page.state)?.hint ?? "", /about 2 minutes/);
  page.feed({ type: "s2s.queue.updated", place: 1, estimated_wait_s: null });
  assert.equal(queueWording(page.state)?.label, "You are next in the queue");
  page.connect();
  assert.equal(queueWording(page.state), null);
});

test("who leaves the queue is not in it any more", () => {
  const page = new Conversation();
  page.feed(connection("connecting"), { type: "s2s.queue.updated", place: 3, estimated_wait_s: null });
  page.feed(connection("closed"));
  assert.equal(queueWording(page.state), null);
});
