// @ts-check
/**
 * What the person chose, and the `session.update` that follows from it. null and "" mean: as the server is configured.
 */

/** @typedef {import("./events.js").WireSession} WireSession */
/** @typedef {import("./events.js").TurnDetection} TurnDetection */

/**
 * @typedef {object} Settings
 * @property {string} voice id of a voice
 * @property {number} speed 0.5 to 1.5
 * @property {string} instructions
 * @property {"server_vad" | "semantic_vad"} turnDetection
 * @property {number | null} threshold 0 to 1
 * @property {number | null} silenceDurationMs
 * @property {number | null} prefixPaddingMs
 * @property {"low" | "medium" | "high" | "auto"} eagerness
 * @property {boolean} interruptible
 * @property {number | null} bargeInMs voice that makes the agent yield, 64 to 2000
 * @property {boolean} fillers a late answer is bridged; false: as the server is configured
 * @property {boolean} backchannels "mm-hm" in long speech; false: as the server is configured
 * @property {number | null} idleTimeoutMs 5000 to 30000
 * @property {string} microphoneId
 * @property {"system" | "light" | "dark"} theme
 */

/** @type {Readonly<Settings>} */
export const DEFAULTS = Object.freeze({
  voice: "",
  speed: 1,
  instructions: "",
  turnDetection: "semantic_vad",
  threshold: null,
  silenceDurationMs: null,
  prefixPaddingMs: null,
  eagerness: "auto",
  interruptible: true,
  bargeInMs: null,
  fillers: false,
  backchannels: false,
  idleTimeoutMs: null,
  microphoneId: "",
  theme: "system",
});

/** What the sliders show where neither the person nor the server named a value. */
export const TURN_DETECTION_FALLBACK = Object.freeze({
  threshold: 0.5,
  silence_duration_ms: 500,
  prefix_padding_ms: 300,
});

/** The same for the voice that makes the agent yield. */
export const BARGE_IN_FALLBACK_MS = 224;
/** After so long an answer counts as late, when the person asked for it to be bridged. */
const FILLER_AFTER_MS = 700;

export const EXTENSION_EVENTS = Object.freeze([
  "input_transcript",
  "sources",
  "tools",
  "metrics",
  "words",
  "playback",
  "pause",
  "decisions",
  "state",
  "call",
  "resume",
  "recording",
]);

const STORAGE_KEY = "talkover.settings";

/**
 * Settings from storage; whatever is missing, foreign or of the wrong kind becomes the default.
 * @param {unknown} stored
 * @returns {Settings}
 */
export function checkedSettings(stored) {
  const raw = /** @type {Record<string, unknown>} */ (stored !== null && typeof stored === "object" ? stored : {});
  return {
    voice: text(raw.voice),
    speed: number(raw.speed, 0.5, 1.5) ?? DEFAULTS.speed,
    instructions: text(raw.instructions),
    turnDetection: raw.turnDetection === "server_vad" ? "server_vad" : "semantic_vad",
    threshold: number(raw.threshold, 0, 1),
    silenceDurationMs: number(raw.silenceDurationMs, 100, 5000),
    prefixPaddingMs: number(raw.prefixPaddingMs, 0, 2000),
    eagerness: raw.eagerness === "low" || raw.eagerness === "medium" || raw.eagerness === "high" ? raw.eagerness : "auto",
    interruptible: raw.interruptible !== false,
    bargeInMs: number(raw.bargeInMs, 64, 2000),
    fillers: raw.fillers === true,
    backchannels: raw.backchannels === true,
    idleTimeoutMs: number(raw.idleTimeoutMs, 5000, 30_000),
    microphoneId: text(raw.microphoneId),
    theme: raw.theme === "light" || raw.theme === "dark" ? raw.theme : "system",
  };
}

/**
 * @param {Pick<Storage, "getItem">} storage
 * @returns {Settings}
 */
export function loadSettings(storage) {
  try {
    return checkedSettings(JSON.parse(storage.getItem(STORAGE_KEY) ?? "null"));
  } catch {
    // storage is refused in some private modes, or holds something else
    return { ...DEFAULTS };
  }
}

/**
 * @param {Pick<Storage, "setItem">} storage
 * @param {Settings} settings
 */
export function saveSettings(storage, settings) {
  try {
    storage.setItem(STORAGE_KEY, JSON.stringify(settings));
  } catch {
    // full or refused: the settings then last as long as the page
  }
}

/** The update that makes captions and timings flow; sent by itself, so that no bad setting can keep them away. */
export function optIn() {
  return {
    type: "session.update",
    session: {
      type: "realtime",
      audio: {
        input: { format: { type: "audio/pcm", rate: 24_000 }, transcription: { model: "default" } },
        output: { format: { type: "audio/pcm", rate: 24_000 } },
      },
      // the browser cancels the agent's echo, see `Microphone.open`
      s2s: { version: 1, events: [...EXTENSION_EVENTS], echo_cancellation: "client" },
    },
  };
}

/**
 * The update that brings a session to these settings. It names every key the panel controls, so that going back to
 * "as the server is configured" works inside a session.
 * @param {Settings} settings
 * @param {WireSession} baseline the session as the server created it
 */
export function sessionUpdate(settings, baseline) {
  return {
    type: "session.update",
    session: {
      type: "realtime",
      instructions: settings.instructions.trim() || baseline.instructions,
      audio: {
        input: {
          turn_detection: turnDetection(settings, baseline.audio.input.turn_detection),
        },
        output: {
          voice: settings.voice || baseline.audio.output.voice,
          speed: settings.speed,
        },
      },
      s2s: { version: 1, barge_in_ms: settings.bargeInMs, manners: manners(settings) },
    },
  };
}

/** @param {Settings} settings */
function manners({ fillers, backchannels }) {
  if (!fillers && !backchannels) return null;
  return { filler_after_ms: fillers ? FILLER_AFTER_MS : null, backchannels };
}

/**
 * @param {Settings} settings
 * @param {TurnDetection | null} baseline
 * @returns {TurnDetection}
 */
function turnDetection(settings, baseline) {
  if (settings.turnDetection === "semantic_vad") {
    return { type: "semantic_vad", eagerness: settings.eagerness, interrupt_response: settings.interruptible };
  }
  const base = { ...TURN_DETECTION_FALLBACK, ...baseline };
  return {
    type: "server_vad",
    threshold: settings.threshold ?? base.threshold,
    silence_duration_ms: settings.silenceDurationMs ?? base.silence_duration_ms,
    prefix_padding_ms: settings.prefixPaddingMs ?? base.prefix_padding_ms,
    idle_timeout_ms: settings.idleTimeoutMs ?? base.idle_timeout_ms ?? null,
    interrupt_response: settings.interruptible,
  };
}

/** @param {unknown} value */
function text(value) {
  return typeof value === "string" ? value : "";
}

/**
 * @param {unknown} value
 * @param {number} low
 * @param {number} high
 * @returns {number | null}
 */
function number(value, low, high) {
  return typeof value === "number" && value >= low && value <= high ? value : null;
}
