// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { PlaybackQueue } from "../../frontend/worklets/queue.js";

const RATE_HZ = 24_000;
const FADE_SAMPLES = 120;

/**
 * @param {number} count
 * @param {number} [value]
 */
function constant(count, value = 0.5) {
  return new Float32Array(count).fill(value);
}

/**
 * @param {PlaybackQueue} queue
 * @param {number} count
 */
function render(queue, count) {
  const output = new Float32Array(Math.ceil(count / 128) * 128);
  for (let at = 0; at < output.length; at += 128) queue.render(output.subarray(at, at + 128));
  return output;
}

/** @param {Float32Array} samples */
function largestStep(samples) {
  let largest = 0;
  for (let i = 1; i < samples.length; i += 1) {
    largest = Math.max(largest, Math.abs(/** @type {number} */ (samples[i]) - /** @type {number} */ (samples[i - 1])));
  }
  return largest;
}

test("what goes in comes out, sample for sample, over chunk borders", () => {
  const queue = new PlaybackQueue(RATE_HZ);
  const speech = Float32Array.from({ length: 3000 }, (_, i) => Math.sin(i / 7) / 2);
  for (let at = 0; at < 3000; at += 700) queue.append("a", speech.slice(at, at + 700));
  queue.finish("a");
  assert.deepEqual(render(queue, 3000).subarray(0, 3000), speech);
  assert.deepEqual(queue.takeEvents(), [
    { type: "started", itemId: "a" },
    { type: "ended", itemId: "a", playedSamples: 3000 },
  ]);
  assert.equal(queue.renderedSamples, 3000);
});

test("playback waits for a little audio, unless there is no more", () => {
  const queue = new PlaybackQueue(RATE_HZ);
  queue.append("a", constant(1380));
  assert.equal(render(queue, 128)[0], 0);
  queue.append("a", constant(60));
  assert.equal(render(queue, 128)[0], 0.5);
  const short = new PlaybackQueue(RATE_HZ);
  short.append("a", constant(10));
  short.finish("a");
  assert.equal(render(short, 128)[0], 0.5);
});

test("one item follows another without a gap", () => {
  const queue = new PlaybackQueue(RATE_HZ);
  queue.append("a", constant(1000));
  queue.append("b", constant(1000, 0.25));
  queue.finish("a");
  queue.finish("b");
  const output = render(queue, 2000);
  assert.equal(output[999], 0.5);
  assert.equal(output[1000], 0.25);
  assert.deepEqual(
    queue.takeEvents().map((event) => `${event.type} ${event.itemId}`),
    ["started a", "ended a", "started b", "ended b"],
  );
});

test("a flush is silent within its fade, without a click, and counts the fade as played", () => {
  const queue = new PlaybackQueue(RATE_HZ);
  queue.append("a", constant(10_000));
  render(queue, 1280);
  assert.deepEqual(queue.flush(), [{ itemId: "a", playedSamples: 1400, droppedSamples: 8600 }]);
  const output = render(queue, 1280);
  assert.ok(/** @type {number} */ (output[0]) > 0.49);
  assert.ok(largestStep(output) <= 0.5 / FADE_SAMPLES + 1e-6);
  assert.ok(output.subarray(FADE_SAMPLES).every((value) => value === 0));
  assert.equal(queue.position(), null);
  assert.equal(queue.renderedSamples, 1400);
});

test("a flush names items that never sounded, and one of an empty queue names none", () => {
  const queue = new PlaybackQueue(RATE_HZ);
  assert.deepEqual(queue.flush(), []);
  queue.append("a", constant(2000));
  queue.append("b", constant(500));
  assert.deepEqual(queue.flush(), [
    { itemId: "a", playedSamples: 0, droppedSamples: 2000 },
    { itemId: "b", playedSamples: 0, droppedSamples: 500 },
  ]);
  assert.ok(render(queue, 256).every((value) => value === 0));
});

test("the fade of a flush spans chunks and ends early when little is left", () => {
  const queue = new PlaybackQueue(RATE_HZ);
  queue.append("a", constant(1546));
  queue.append("a", constant(20));
  render(queue, 1536);
  assert.deepEqual(queue.flush(), [{ itemId: "a", playedSamples: 1566, droppedSamples: 0 }]);
  const output = render(queue, 128);
  assert.ok(/** @type {number} */ (output[29]) < 1e-6);
});

test("audio after a flush plays at full gain", () => {
  const queue = new PlaybackQueue(RATE_HZ);
  queue.append("a", constant(5000));
  render(queue, 1280);
  queue.setGain(0.25, 40);
  render(queue, 1280);
  queue.flush();
  render(queue, 256);
  queue.append("b", constant(5000));
  assert.equal(render(queue, 256)[0], 0.5);
});

test("ducking ramps in the given time and back, without a step", () => {
  const queue = new PlaybackQueue(RATE_HZ);
  queue.append("a", constant(24_000));
  queue.setGain(0.25, 40);
  const down = render(queue, 1280);
  assert.ok(largestStep(down) < 0.001);
  assert.equal(down[1000], 0.125);
  queue.setGain(1, 40);
  const up = render(queue, 1280);
  assert.ok(largestStep(up) < 0.001);
  assert.equal(up[1000], 0.5);
});

test("running dry is reported once, decays without a click, and goes on from the same sample", () => {
  const queue = new PlaybackQueue(RATE_HZ);
  queue.append("a", constant(1536));
  render(queue, 1536);
  const dry = render(queue, 512);
  assert.ok(largestStep(Float32Array.of(0.5, ...dry)) <= 0.5 / FADE_SAMPLES + 1e-6);
  assert.deepEqual(
    queue.takeEvents().map((event) => event.type),
    ["started", "underrun"],
  );
  queue.append("a", constant(2879));
  assert.ok(
    render(queue, 128).every((value) => value === 0),
    "120 ms are gathered first",
  );
  queue.append("a", constant(1));
  const again = render(queue, 1280);
  assert.ok(largestStep(Float32Array.of(0, ...again)) <= 0.5 / FADE_SAMPLES + 1e-6);
  assert.equal(queue.position()?.playedSamples, 2816);
});

test("audible samples are those that are not silence", () => {
  const queue = new PlaybackQueue(RATE_HZ);
  queue.append("a", constant(1000, 0));
  queue.append("a", constant(500));
  queue.finish("a");
  render(queue, 1500);
  assert.equal(queue.renderedSamples, 1500);
  assert.equal(queue.audibleSamples, 500);
});

test("the level is the RMS since the last question", () => {
  const queue = new PlaybackQueue(RATE_HZ);
  queue.append("a", constant(1536));
  render(queue, 1536);
  assert.ok(Math.abs(queue.takeRms() - 0.5) < 1e-6);
  assert.equal(queue.takeRms(), 0);
});

test("ten minutes are queued, not more", () => {
  const queue = new PlaybackQueue(RATE_HZ);
  const minute = constant(60 * RATE_HZ, 0);
  for (let i = 0; i < 10; i += 1) assert.equal(queue.append("a", minute), true);
  assert.equal(queue.append("a", constant(1)), false);
});

test("an item without any audio ends and lets the next one play", () => {
  const queue = new PlaybackQueue(RATE_HZ);
  queue.append("a", new Float32Array(0));
  queue.append("b", constant(2000));
  queue.finish("a");
  assert.equal(render(queue, 128)[0], 0.5);
  assert.deepEqual(
    queue.takeEvents().map((event) => `${event.type} ${event.itemId}`),
    ["ended a", "started b"],
  );
});

test("a pause keeps the rest, and playback goes on with the very next sample", () => {
  const queue = new PlaybackQueue(RATE_HZ);
  const speech = Float32Array.from({ length: 12_800 }, (_, i) => Math.sin(i / 40) / 2);
  queue.append("a", speech.slice());
  queue.finish("a");
  render(queue, 1280);
  assert.deepEqual(queue.pause(), { itemId: "a", playedSamples: 1280 });
  assert.equal(queue.pause(), null);
  const paused = render(queue, 2560);
  assert.ok(largestStep(paused) < 0.02);
  assert.ok(paused.subarray(FADE_SAMPLES).every((value) => value === 0));
  assert.deepEqual(queue.position(), { itemId: "a", playedSamples: 1280, queuedSamples: 11_520 });
  queue.append("b", constant(10));
  queue.resume();
  const rest = render(queue, 11_520);
  assert.ok(largestStep(rest) < 0.02);
  assert.deepEqual(rest.subarray(FADE_SAMPLES), speech.subarray(1280 + FADE_SAMPLES));
});

test("what is paused can be thrown away without a sound", () => {
  const queue = new PlaybackQueue(RATE_HZ);
  queue.append("a", constant(5000));
  render(queue, 1280);
  queue.pause();
  render(queue, 256);
  assert.deepEqual(queue.flush(), [{ itemId: "a", playedSamples: 1280, droppedSamples: 3720 }]);
  queue.append("b", constant(5000));
  assert.equal(render(queue, 128)[64], 0.5);
});

test("a pause brings back the volume that ducking took", () => {
  const queue = new PlaybackQueue(RATE_HZ);
  queue.append("a", constant(20_000));
  queue.setGain(0.25, 10);
  render(queue, 1280);
  queue.pause();
  render(queue, 1280);
  queue.resume();
  assert.equal(render(queue, 1280)[1000], 0.5);
});

test("what arrives during a pause waits", () => {
  const queue = new PlaybackQueue(RATE_HZ);
  assert.equal(queue.pause(), null);
  queue.append("a", constant(5000));
  assert.ok(render(queue, 1280).every((value) => value === 0));
  queue.resume();
  assert.equal(render(queue, 1280)[1000], 0.5);
});
