// @ts-check
/** From the marks of a turn to the bar that shows what the person waited for. */

/** @typedef {import("./events.js").TurnMetrics} TurnMetrics */
/** @typedef {import("./state.js").Turn} Turn */

/** @typedef {"endpointing" | "asr" | "llm" | "tts" | "send" | "network" | "playback"} PartName */

/** @typedef {{name: PartName, ms: number}} Part */

/** The marks in the order of the pipeline, each with the part that ends there. */
const CHAIN = /** @type {const} */ ([
  ["turn_end", "endpointing"],
  ["transcript_final", "asr"],
  ["llm_first_token", "llm"],
  ["tts_first_audio", "tts"],
  ["first_audio_sent", "send"],
]);

/**
 * Parts that add up to the whole wait. A stage that ran ahead of the end of turn (speculation) had cost the person
 * nothing by then, so a mark earlier than the one before it makes a part of 0 ms, which is left out.
 * @param {Record<string, number>} marksMs
 * @returns {Part[]}
 */
export function waitingParts(marksMs) {
  /** @type {Part[]} */
  const parts = [];
  let untilMs = 0;
  for (const [mark, name] of CHAIN) {
    const at = marksMs[mark];
    if (at === undefined || at <= untilMs) continue;
    parts.push({ name, ms: at - untilMs });
    untilMs = at;
  }
  return parts;
}

/**
 * @param {TurnMetrics} metrics
 * @param {number | null} roundTripMs estimate for the way of the last word to the server and of the first sound back
 * @param {number | null} playMs from the arrival of the first audio to the first sample rendered
 * @returns {Turn}
 */
export function turnOf(metrics, roundTripMs, playMs) {
  const parts = waitingParts(metrics.marks_ms);
  const heard = metrics.marks_ms.first_audio_sent !== undefined;
  if (heard && roundTripMs !== null) parts.push({ name: "network", ms: roundTripMs });
  if (heard && playMs !== null) parts.push({ name: "playback", ms: playMs });
  /** @type {Record<string, number>} */
  const stagesMs = {};
  const stages = {
    endpointing: metrics.endpointing_ms,
    asr: metrics.asr_ms,
    llm: metrics.llm_ttft_ms,
    tts: metrics.tts_ttfb_ms,
  };
  for (const [name, ms] of Object.entries(stages)) if (typeof ms === "number") stagesMs[name] = ms;
  return {
    responseId: metrics.response_id,
    toSpeech: "speech_end" in metrics.marks_ms,
    parts,
    totalMs: heard ? parts.reduce((sum, part) => sum + part.ms, 0) : null,
    stagesMs,
    audioMs: metrics.audio_ms ?? null,
    interruptedAtMs: metrics.interrupted_at_ms ?? null,
    status: metrics.status,
  };
}

/**
 * @param {Turn} turn measured before its answer sounded
 * @param {number} playMs
 * @returns {Turn}
 */
export function withPlayback(turn, playMs) {
  if (turn.totalMs === null || turn.parts.some((part) => part.name === "playback")) return turn;
  return { ...turn, parts: [...turn.parts, { name: "playback", ms: playMs }], totalMs: turn.totalMs + playMs };
}

/**
 * @param {Turn[]} turns
 * @returns {number | null} median voice-to-voice time of the spoken ones
 */
export function medianTotalMs(turns) {
  const totals = turns.flatMap((turn) => (turn.totalMs === null || !turn.toSpeech ? [] : [turn.totalMs])).sort((a, b) => a - b);
  if (totals.length === 0) return null;
  const middle = totals.length >> 1;
  const upper = /** @type {number} */ (totals[middle]);
  return totals.length % 2 === 1 ? upper : (upper + /** @type {number} */ (totals[middle - 1])) / 2;
}
