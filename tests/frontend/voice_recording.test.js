// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { VoiceRecording, refusalText, voiceLimits } from "../../frontend/voice-recording.js";

const CHUNK_SAMPLES = 480;

/** @param {number} value */
function chunk(value) {
  return /** @type {ArrayBuffer} */ (new Int16Array(CHUNK_SAMPLES).fill(value).buffer);
}

test("a recording becomes a wav file of its samples", async () => {
  const recording = new VoiceRecording(30);
  const reused = chunk(1);
  recording.append(reused);
  new Int16Array(reused).fill(2); // the microphone uses its buffers again
  recording.append(reused);
  assert.equal(recording.seconds, 0.04);
  const wav = new DataView(await recording.wav().arrayBuffer());
  const word = (/** @type {number} */ at) => String.fromCharCode(...new Uint8Array(wav.buffer, at, 4));
  assert.deepEqual([word(0), word(8), word(12), word(36)], ["RIFF", "WAVE", "fmt ", "data"]);
  assert.equal(wav.getUint32(4, true), wav.byteLength - 8);
  assert.equal(wav.getUint32(24, true), 24_000);
  assert.equal(wav.getUint32(40, true), 2 * 2 * CHUNK_SAMPLES);
  assert.equal(wav.getInt16(44, true), 1);
  assert.equal(wav.getInt16(44 + 2 * CHUNK_SAMPLES, true), 2);
});

test("a recording is full at its limit and never longer", () => {
  const recording = new VoiceRecording(0.05);
  for (let i = 0; i < 5; i += 1) recording.append(chunk(1));
  assert.ok(recording.isFull);
  assert.equal(recording.seconds, 0.05);
});

test("a server that clones no voices, or says something odd, offers no recording", () => {
  for (const odd of [undefined, null, 3, "x", {}, { min_seconds: "1" }, { removable: [], min_seconds: 1 }]) {
    assert.equal(voiceLimits(odd), null);
  }
  const limits = voiceLimits({ removable: ["a", 3], min_seconds: 1.5, max_seconds: 9999, max_bytes: 10 });
  assert.deepEqual(limits, { removable: ["a"], min_seconds: 1.5, max_seconds: 60, max_bytes: 10 });
});

test("a refusal is told in the server's words", () => {
  assert.equal(refusalText({ error: { message: "file: the clip is silent." } }), "file: the clip is silent.");
  for (const odd of [null, {}, { error: null }, { error: { message: 3 } }]) assert.match(refusalText(odd), /did not/);
});
