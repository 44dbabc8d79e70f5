// @ts-check
/** The whole state of the page as one value, and the questions asked of it. Changed only by `reduce.js`. */

/** @typedef {import("./problems.js").Problem} Problem */
/** @typedef {import("./events.js").Source} Source */
/** @typedef {import("./tool-runs.js").ToolRun} ToolRun */

/**
 * @typedef {object} UserItem
 * @property {"user"} role
 * @property {string} id
 * @property {string} text the best hypothesis so far
 * @property {string} deltas the stable text so far, as the standard protocol streams it
 * @property {number} stableChars prefix of `text` that will not change
 * @property {boolean} final
 * @property {boolean} confirmed false while it may still turn out to be noise over the agent's voice
 * @property {boolean} failed it could not be transcribed
 */

/** @typedef {{start: number, end: number, startMs: number, endMs: number}} SpokenWord */

/**
 * @typedef {object} AssistantItem
 * @property {"assistant"} role
 * @property {string} id
 * @property {string | null} responseId null for what was carried over from an earlier connection
 * @property {string} text
 * @property {SpokenWord[]} words when each word sounds, in order
 * @property {boolean} spoken false: it is read, not heard
 * @property {number} audioMs audio received
 * @property {boolean} audioDone
 * @property {number} heardMs audio that has left the loudspeaker
 * @property {number | null} heardChars the server's word on how much was heard, after an interruption
 * @property {boolean} ended playback is over
 * @property {boolean} interrupted it will not be played to its end
 * @property {boolean} silenced audio still to come is thrown away
 * @property {boolean} aside said while the user speaks, and no part of the conversation
 */

/** @typedef {UserItem | AssistantItem} Item */

/**
 * @typedef {object} Turn timings of one answer
 * @property {string} responseId
 * @property {boolean} toSpeech whether speech was answered; else the time counts from the request
 * @property {import("./latency.js").Part[]} parts what the person waited for, in order; they add up to `totalMs`
 * @property {number | null} totalMs
 * @property {Record<string, number>} stagesMs how long each stage took, also where it ran ahead of the end of turn
 * @property {number | null} audioMs
 * @property {number | null} interruptedAtMs
 * @property {string} status
 */

/**
 * @typedef {object} State
 * @property {{status: "idle" | import("./events.js").ConnectionStatus, attempt: number, retryInMs: number | null, problem: Problem | null}} connection
 * @property {{id: string, interruptible: boolean} | null} session
 * @property {{place: number, waitS: number | null} | null} queue how far it is to a conversation; null: not waiting
 * @property {{engines: Record<string, string>, notes: string[]}} server
 * @property {{status: "off" | "asking" | "on" | "failed", muted: boolean, problem: Problem | null}} microphone
 * @property {boolean} recorded what is said now is recorded
 * @property {{itemId: string | null, speaking: boolean, cutIn: boolean, awaitingAnswer: boolean}} speech the user's
 * @property {string | null} responseId the active response
 * @property {{itemId: string | null, playedMs: number, reportedMs: number, gain: number, paused: boolean, underruns: number}} playback
 * @property {Item[]} items in the order they came up
 * @property {Record<string, {query: string | null, sources: Source[]}>} evidence by response
 * @property {ToolRun[]} tools used on the server, oldest first
 * @property {Turn[]} turns newest first
 * @property {Record<string, {firstDeltaAtMs: number, playMs: number | null}>} playStarts by response
 * @property {import("./decisions.js").Decision[]} decisions newest first
 * @property {number} nextDecisionId
 * @property {string | null} asideId the response being said beside the conversation
 * @property {number | null} roundTripMs best of the session
 * @property {{itemId: string, text: string} | null} pendingText typed, waits for the connection or for silence
 * @property {{id: number, text: string}[]} notices
 * @property {number} nextNoticeId
 */

/** @type {State} */
export const INITIAL = {
  connection: { status: "idle", attempt: 0, retryInMs: null, problem: null },
  session: null,
  queue: null,
  server: { engines: {}, notes: [] },
  recorded: false,
  microphone: { status: "off", muted: false, problem: null },
  speech: { itemId: null, speaking: false, cutIn: false, awaitingAnswer: false },
  responseId: null,
  playback: { itemId: null, playedMs: 0, reportedMs: 0, gain: 1, paused: false, underruns: 0 },
  items: [],
  evidence: {},
  tools: [],
  turns: [],
  playStarts: {},
  decisions: [],
  nextDecisionId: 1,
  asideId: null,
  roundTripMs: null,
  pendingText: null,
  notices: [],
  nextNoticeId: 1,
};

/**
 * @typedef {"idle" | "connecting" | "queued" | "reconnecting" | "asking" | "ready" | "muted" | "listening" | "hearing" | "thinking"
 *   | "speaking" | "ducked" | "interrupted" | "error"} Mood
 */

/**
 * The one word the page shows for its state.
 * @param {State} state
 * @returns {Mood}
 */
export function moodOf(state) {
  const { connection, microphone, speech, playback } = state;
  if (connection.status === "failed") return "error";
  if (microphone.status === "asking") return "asking";
  if (connection.status === "waiting") return "reconnecting";
  if (connection.status === "connecting") return state.queue ? "queued" : "connecting";
  if (connection.status !== "open") return microphone.problem ? "error" : "idle";
  if (speech.speaking && speech.cutIn) return "interrupted";
  if (playback.itemId !== null) return playback.gain < 1 || playback.paused ? "ducked" : "speaking";
  if (speech.speaking) return "hearing";
  if (state.responseId !== null || speech.awaitingAnswer || state.pendingText) return "thinking";
  if (microphone.status !== "on") return "ready";
  return microphone.muted ? "muted" : "listening";
}

/**
 * @param {State} state
 * @returns {Problem | null} what stands in the way right now
 */
export function problemOf(state) {
  if (state.connection.status === "failed" || state.connection.status === "waiting") return state.connection.problem;
  return state.microphone.problem;
}

/**
 * @param {State} state
 * @returns {{label: string, hint: string} | null} what somebody in the queue is told
 */
export function queueWording({ queue }) {
  if (!queue) return null;
  const minutes = queue.waitS === null ? null : Math.max(1, Math.round(queue.waitS / 60));
  const patience = minutes === null ? "" : `about ${minutes} minute${minutes === 1 ? "" : "s"}, `;
  return {
    label: queue.place === 1 ? "You are next in the queue" : `You are number ${queue.place} in the queue`,
    hint: `All lines are busy: ${patience}your microphone is not heard until then`,
  };
}

/** @param {State} state */
export function inConversation(state) {
  const { status } = state.connection;
  return status === "open" || status === "connecting" || status === "waiting";
}

/**
 * @param {State} state
 * @param {string} id
 * @returns {AssistantItem | null}
 */
export function assistantItem(state, id) {
  const item = state.items.find((one) => one.id === id);
  return item?.role === "assistant" ? item : null;
}
