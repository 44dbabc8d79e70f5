// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { int16FromBase64, toBase64 } from "../../frontend/base64.js";
import { floatToInt16, int16ToFloat, levelOfRms } from "../../frontend/worklets/pcm.js";
import { Resampler } from "../../frontend/worklets/resampler.js";

/**
 * @param {number} rateHz
 * @param {number} toneHz
 * @param {number} count
 */
function tone(rateHz, toneHz, count) {
  return Float32Array.from({ length: count }, (_, i) => 0.5 * Math.sin((2 * Math.PI * toneHz * i) / rateHz));
}

/** @param {Float32Array} samples */
function rms(samples) {
  return Math.sqrt(samples.reduce((sum, value) => sum + value * value, 0) / samples.length);
}

/**
 * @param {Resampler} resampler
 * @param {Float32Array} input
 * @param {number} chunk
 */
function inChunks(resampler, input, chunk) {
  const parts = [];
  for (let at = 0; at < input.length; at += chunk) parts.push(...resampler.process(input.subarray(at, at + chunk)));
  parts.push(...resampler.flush());
  return Float32Array.from(parts);
}

for (const [fromHz, toHz] of /** @type {const} */ ([
  [48_000, 24_000],
  [44_100, 24_000],
  [16_000, 24_000],
  [24_000, 44_100],
])) {
  test(`${fromHz} to ${toHz} Hz keeps a tone: place, level and length`, () => {
    const output = inChunks(new Resampler(fromHz, toHz), tone(fromHz, 1000, fromHz / 2), 128);
    assert.ok(Math.abs(output.length - toHz / 2) <= 1, `length ${output.length}`);
    const expected = tone(toHz, 1000, output.length);
    const error = output.map((value, i) => value - /** @type {number} */ (expected[i]));
    // the edges ring, the middle is exact
    assert.ok(rms(error.subarray(400, -400)) < 1e-3);
  });
}

test("what the target rate cannot carry is removed, not folded back", () => {
  const output = inChunks(new Resampler(48_000, 24_000), tone(48_000, 15_000, 24_000), 128);
  assert.ok(rms(output.subarray(200, -200)) < 1e-4);
});

test("chunked output equals one-shot output", () => {
  const input = tone(44_100, 440, 5000);
  const whole = inChunks(new Resampler(44_100, 24_000), input, 5000);
  for (const chunk of [1, 7, 128, 1000]) assert.deepEqual(inChunks(new Resampler(44_100, 24_000), input, chunk), whole);
});

test("a resampler starts anew after a flush", () => {
  const resampler = new Resampler(48_000, 24_000);
  const input = tone(48_000, 440, 2000);
  assert.deepEqual(inChunks(resampler, input, 128), inChunks(resampler, input, 128));
});

test("PCM16 survives base64 and clips what is too loud", () => {
  const samples = Float32Array.of(0, 0.5, -0.5, 1, -1, 2, -2);
  const pcm = floatToInt16(samples, new Int16Array(samples.length));
  assert.deepEqual([...pcm], [0, 16384, -16383, 32767, -32767, 32767, -32767]);
  assert.deepEqual(int16FromBase64(toBase64(/** @type {ArrayBuffer} */ (pcm.buffer))), pcm);
  assert.deepEqual([...int16ToFloat(Int16Array.of(-32768, 0, 16384))], [-1, 0, 0.5]);
});

test("base64 is that of everybody else, also for long chunks and odd bytes", () => {
  const bytes = Uint8Array.from({ length: 20_001 }, (_, i) => (i * 37) % 256);
  assert.equal(toBase64(bytes.buffer), Buffer.from(bytes).toString("base64"));
  assert.equal(int16FromBase64(Buffer.from([1, 0, 255, 255, 7]).toString("base64")).join(), "1,-1");
});

test("levels run from silence to a clear voice", () => {
  assert.equal(levelOfRms(0), 0);
  assert.equal(levelOfRms(0.001), 0);
  assert.ok(Math.abs(levelOfRms(0.0158) - 0.5) < 0.01);
  assert.equal(levelOfRms(1), 1);
});
