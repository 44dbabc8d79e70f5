// @ts-check
/** The real worklet modules in a worklet's global scope of three names. */
import assert from "node:assert/strict";
import { test } from "node:test";

/** @type {Map<string, any>} */
const processors = new Map();

class FakePort {
  /** @type {any[]} */
  posted = [];
  /** @type {((event: {data: any}) => void) | null} */
  onmessage = null;

  /**
   * @param {any} message
   * @param {ArrayBuffer[]} [transfer]
   */
  postMessage(message, transfer = []) {
    this.posted.push(structuredClone(message, { transfer }));
  }
}

Object.assign(globalThis, {
  sampleRate: 24_000,
  currentTime: 1.5,
  AudioWorkletProcessor: class {
    port = new FakePort();
  },
  registerProcessor: (/** @type {string} */ name, /** @type {any} */ kind) => processors.set(name, kind),
});
await import("../../frontend/worklets/player.js");
await import("../../frontend/worklets/microphone.js");

/** @param {boolean} [record] */
function newPlayer(record = false) {
  const player = new (processors.get("talkover-player"))({ processorOptions: { record } });
  return { player, port: /** @type {FakePort} */ (player.port) };
}

/**
 * @param {any} player
 * @param {number} count
 */
function blocks(player, count) {
  const output = new Float32Array(128);
  for (let i = 0; i < count; i += 1) assert.equal(player.process([], [[output]]), true);
  return output;
}

test("the player reports start, position every 53 ms, counts, and end", () => {
  const { player, port } = newPlayer();
  port.onmessage?.({ data: { type: "append", itemId: "a", samples: new Float32Array(128 * 25).fill(0.5) } });
  port.onmessage?.({ data: { type: "finish", itemId: "a" } });
  blocks(player, 30);
  const reports = (/** @type {string} */ type) => port.posted.filter((report) => report.type === type);
  assert.deepEqual(
    reports("position").map((report) => report.playedSamples),
    [1280, 2560],
  );
  assert.equal(reports("started").length, 1);
  assert.equal(reports("ended")[0].playedSamples, 3200);
  assert.deepEqual(reports("level").at(-1).counts, {
    renderedSamples: 3200,
    audibleSamples: 3200,
    lastAudibleTimeS: 1.5,
  });
});

test("a flush is answered at once, with its id", () => {
  const { player, port } = newPlayer();
  port.onmessage?.({ data: { type: "append", itemId: "a", samples: new Float32Array(9000).fill(0.5) } });
  blocks(player, 10);
  port.onmessage?.({ data: { type: "flush", id: 7 } });
  assert.deepEqual(port.posted.at(-1), {
    type: "flushed",
    id: 7,
    items: [{ itemId: "a", playedSamples: 1400, droppedSamples: 7600 }],
  });
  assert.equal(blocks(player, 3)[0], 0);
});

test("a recording holds every rendered block", () => {
  const { player, port } = newPlayer(true);
  blocks(player, 4);
  assert.equal(port.posted.filter((report) => report.type === "rendered").length, 4);
});

test("the microphone posts 20 ms chunks and reuses their buffers", () => {
  const microphone = new (processors.get("talkover-microphone"))();
  const port = /** @type {FakePort} */ (microphone.port);
  const block = new Float32Array(128).fill(0.5);
  for (let i = 0; i < 15; i += 1) microphone.process([[block]]);
  assert.equal(port.posted.length, 4);
  const chunk = port.posted[0];
  assert.equal(chunk.pcm.byteLength, 960);
  assert.ok(Math.abs(chunk.rms - 0.5) < 1e-6);
  assert.equal(new Int16Array(chunk.pcm)[479], 16384);
  port.onmessage?.({ data: chunk.pcm });
  assert.equal(microphone.spare.length, 1);
  for (let i = 0; i < 4; i += 1) microphone.process([[block]]);
  assert.equal(microphone.spare.length, 0);
});

test("channels are mixed, and a microphone that is not there yet is waited for", () => {
  const microphone = new (processors.get("talkover-microphone"))();
  assert.equal(microphone.process([[]]), true);
  const left = new Float32Array(480).fill(0.5);
  const right = new Float32Array(480).fill(-0.25);
  microphone.process([[left, right]]);
  const pcm = new Int16Array(microphone.port.posted[0].pcm);
  assert.equal(pcm[100], Math.round(0.125 * 32767));
});

test("a device at 48 kHz is converted", () => {
  Object.assign(globalThis, { sampleRate: 48_000 });
  const microphone = new (processors.get("talkover-microphone"))();
  Object.assign(globalThis, { sampleRate: 24_000 });
  for (let i = 0; i < 375; i += 1) microphone.process([[new Float32Array(128).fill(0.25)]]);
  const { posted } = microphone.port;
  assert.equal(posted.length, 49, "a second less what the filter still holds");
  assert.ok(new Int16Array(posted[10].pcm).every((value) => Math.abs(value - 8192) < 30));
});
