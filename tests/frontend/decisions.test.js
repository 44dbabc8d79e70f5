// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { described } from "../../frontend/decisions.js";
import { moodOf } from "../../frontend/state.js";
import { Conversation, position, started } from "./conversation.js";

const paused = { type: "s2s.playback.pause", fade_ms: 20 };
const resumed = { type: "s2s.playback.resume", fade_ms: 20 };

/** @param {object} fields */
function decision(fields) {
  return { type: "s2s.decision", decision: "stopped", reason: "command", at_ms: 1000, ...fields };
}

function speaking() {
  const talk = new Conversation();
  talk.connect();
  talk.answer("one two three four five");
  talk.feed(started, position(200));
  return talk;
}

test("undecided pauses the player and throws nothing away", () => {
  const talk = speaking();
  assert.deepEqual(talk.feed(paused), [{ kind: "pause" }]);
  assert.equal(moodOf(talk.state), "ducked");
  assert.deepEqual(talk.feed({ type: "page.player.paused", item_id: "item_a", played_ms: 230.7 }), [
    {
      kind: "send",
      event: { type: "s2s.playback.updated", item_id: "item_a", audio_played_ms: 230, ended: false },
    },
  ]);
  assert.deepEqual(talk.feed(resumed), [{ kind: "resume" }]);
  assert.equal(moodOf(talk.state), "speaking");
  assert.equal(talk.item("item_a").interrupted, false);
});

test("a guess at what was said goes with the sound that was nothing", () => {
  const talk = speaking();
  talk.feed(paused, { type: "s2s.input_transcript.updated", item_id: "item_u", text: "uh", stable_chars: 0 });
  assert.ok(talk.item("item_u"));
  talk.feed(resumed);
  assert.equal(talk.item("item_u"), undefined);
});

test("speech that was paused for flushes what is left", () => {
  const talk = speaking();
  talk.feed(paused);
  const commands = talk.feed({ type: "input_audio_buffer.speech_started", item_id: "item_u", audio_start_ms: 900 });
  assert.equal(commands[0]?.kind, "flush");
  talk.feed({ type: "page.player.flushed", items: [{ item_id: "item_a", played_ms: 230, dropped_ms: 270 }] });
  assert.equal(talk.state.playback.paused, false);
  assert.equal(talk.item("item_a").interrupted, true);
});

test("decisions are kept newest first, and not too many", () => {
  const talk = speaking();
  for (let index = 0; index < 30; index += 1) talk.feed(decision({ after_ms: index }));
  assert.equal(talk.state.decisions.length, 12);
  assert.equal(talk.state.decisions[0]?.afterMs, 29);
  assert.equal(new Set(talk.state.decisions.map((one) => one.id)).size, 12);
});

test("every decision reads as a sentence, also one that is not known yet", () => {
  /** @param {object} fields */
  const read = (fields) => {
    const talk = speaking();
    talk.feed(decision(fields));
    const { title, detail } = described(/** @type {any} */ (talk.state.decisions[0]));
    return `${title}: ${detail}`;
  };
  assert.equal(read({ after_ms: 240 }), "Stopped: you told it to, 240 ms of it");
  assert.equal(read({ decision: "went_on", reason: "backchannel" }), "Went on: you only agreed");
  assert.equal(
    read({ decision: "turn_ended", reason: "silence", after_ms: 320, finished: 0.82 }),
    "Your turn was over: 320 ms of silence, 82 % finished",
  );
  assert.equal(read({ decision: "said_filler", reason: "behaviour", text: "Let me see." }), "Bridged the wait: “Let me see.”");
  assert.equal(read({ decision: "waved", reason: "new_reason" }), "waved: new reason");
});

test("what is said beside the conversation neither becomes the answer nor is given back", () => {
  const talk = new Conversation();
  talk.connect();
  const ids = { response_id: "resp_x", item_id: "item_x" };
  talk.feed(
    { type: "response.created", response: { id: "resp_x", status: "in_progress", output: [], conversation_id: null } },
    { type: "response.output_item.added", response_id: "resp_x", item: { id: "item_x", type: "message", role: "assistant" } },
    { type: "response.output_audio_transcript.delta", ...ids, delta: "Mm-hm." },
    { type: "response.output_audio_transcript.done", ...ids, transcript: "Mm-hm." },
  );
  assert.equal(talk.state.responseId, null);
  assert.equal(talk.item("item_x").aside, true);
  const before = talk.sent.length;
  talk.connect();
  assert.ok(!talk.sent.slice(before).some((event) => event.type === "conversation.item.create"));
});
