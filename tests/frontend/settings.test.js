// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { handshakeProblem, microphoneProblem } from "../../frontend/problems.js";
import {
  DEFAULTS,
  EXTENSION_EVENTS,
  checkedSettings,
  loadSettings,
  optIn,
  saveSettings,
  sessionUpdate,
} from "../../frontend/settings.js";

/** @type {any} */
const BASELINE = {
  id: "sess_1",
  instructions: "Be kind.",
  audio: {
    input: { turn_detection: { type: "server_vad", threshold: 0.6, silence_duration_ms: 450, prefix_padding_ms: 300 } },
    output: { voice: "default", speed: 1 },
  },
};

test("settings survive storage, and whatever else is stored becomes the default", () => {
  /** @type {Map<string, string>} */
  const stored = new Map();
  const storage = {
    getItem: (/** @type {string} */ key) => stored.get(key) ?? null,
    setItem: (/** @type {string} */ key, /** @type {string} */ value) => stored.set(key, value),
  };
  const chosen = checkedSettings({ ...DEFAULTS, voice: "en-us", speed: 1.25, threshold: 0.7, theme: "dark" });
  saveSettings(storage, chosen);
  assert.deepEqual(loadSettings(storage), chosen);
  for (const foreign of ["{", "[]", "3", '{"speed": 9, "threshold": "x", "theme": "pink", "idleTimeoutMs": 1}']) {
    stored.set("talkover.settings", foreign);
    assert.deepEqual(loadSettings(storage), DEFAULTS);
  }
  const refused = { getItem: () => { throw new Error("denied"); }, setItem: () => { throw new Error("denied"); } };
  saveSettings(refused, chosen);
  assert.deepEqual(loadSettings(refused), DEFAULTS);
});

test("a key is never among the settings", () => {
  assert.equal("key" in checkedSettings({ key: "secret" }), false);
});

test("untouched settings let words and voice tell the end of a turn", () => {
  const { session } = sessionUpdate({ ...DEFAULTS }, BASELINE);
  assert.deepEqual(session.audio.input.turn_detection, {
    type: "semantic_vad",
    eagerness: "auto",
    interrupt_response: true,
  });
});

test("what is not chosen is asked for as the server has it", () => {
  const { session } = sessionUpdate({ ...DEFAULTS, turnDetection: "server_vad" }, BASELINE);
  assert.equal(session.instructions, "Be kind.");
  assert.equal(session.audio.output.voice, "default");
  assert.deepEqual(session.audio.input.turn_detection, {
    type: "server_vad",
    threshold: 0.6,
    silence_duration_ms: 450,
    prefix_padding_ms: 300,
    idle_timeout_ms: null,
    interrupt_response: true,
  });
});

test("what was chosen is asked for", () => {
  const chosen = {
    ...DEFAULTS,
    voice: "cmn",
    instructions: " Be brief. ",
    turnDetection: "server_vad",
    silenceDurationMs: 800,
    interruptible: false,
  };
  const { session } = sessionUpdate(chosen, BASELINE);
  assert.equal(session.instructions, "Be brief.");
  assert.equal(session.audio.output.voice, "cmn");
  assert.equal(session.audio.input.turn_detection.silence_duration_ms, 800);
  assert.equal(session.audio.input.turn_detection.interrupt_response, false);
});

test("semantic turn detection sends no keys of the other kind", () => {
  const { session } = sessionUpdate({ ...DEFAULTS, turnDetection: "semantic_vad", eagerness: "high" }, BASELINE);
  assert.deepEqual(session.audio.input.turn_detection, {
    type: "semantic_vad",
    eagerness: "high",
    interrupt_response: true,
  });
});

test("the opt-in asks for captions and every group of the extension", () => {
  const { session } = optIn();
  assert.deepEqual(session.s2s, { version: 1, events: [...EXTENSION_EVENTS], echo_cancellation: "client" });
  assert.ok(session.audio.input.transcription);
});

test("a refused handshake is told apart by what the server answers to plain requests", () => {
  const ready = { status: 200, body: { status: "ready", sessions: 1, max_sessions: 16 } };
  assert.equal(handshakeProblem(null, null), "unreachable");
  assert.equal(handshakeProblem(ready, 401), "unauthorized");
  assert.equal(handshakeProblem({ status: 503, body: { sessions: 16, max_sessions: 16 } }, 200), "full");
  assert.equal(handshakeProblem({ status: 503, body: { status: "starting" } }, 200), "starting");
  assert.equal(handshakeProblem({ status: 503, body: null }, null), "starting");
  assert.equal(handshakeProblem(ready, 200), "refused");
});

test("microphone errors are told apart by name", () => {
  const error = (/** @type {string} */ name) => new DOMException("", name);
  assert.equal(microphoneProblem(error("NotAllowedError")), "microphone_denied");
  assert.equal(microphoneProblem(error("NotFoundError")), "microphone_missing");
  assert.equal(microphoneProblem(error("NotReadableError")), "microphone_busy");
  assert.equal(microphoneProblem(undefined), "microphone_busy");
});
