// @ts-check
/** What can keep a conversation from happening, and what the person in front of the page can do about it. */

/**
 * @typedef {"microphone_denied" | "microphone_missing" | "microphone_busy" | "microphone_lost" | "insecure_context"
 *   | "unreachable" | "full" | "starting" | "unauthorized" | "refused" | "lost" | "expired" | "unsupported"} Problem
 */

/**
 * @typedef {object} Advice
 * @property {string} title
 * @property {string} text what to do
 * @property {"retry" | "reconnect" | "key" | null} action what the main button of the notice offers
 */

/** @type {Record<Problem, Advice>} */
export const ADVICE = {
  microphone_denied: {
    title: "The microphone is blocked",
    text: "Click the icon at the left of the address bar, allow the microphone for this site, then try again. You can also go on by typing.",
    action: "retry",
  },
  microphone_missing: {
    title: "No microphone found",
    text: "Plug one in or choose another input in the settings, then try again. You can also go on by typing.",
    action: "retry",
  },
  microphone_busy: {
    title: "The microphone cannot be opened",
    text: "Another program may be using it. Close that program, or choose another input in the settings.",
    action: "retry",
  },
  microphone_lost: {
    title: "The microphone went away",
    text: "It was unplugged or taken by another program. Plug it in again, or choose another input in the settings.",
    action: "retry",
  },
  insecure_context: {
    title: "The browser offers no microphone here",
    text: "Browsers only allow it on https:// or on localhost. Open this page through one of these. Typing works.",
    action: null,
  },
  unreachable: {
    title: "The server does not answer",
    text: "Check that it is running and that this device is online.",
    action: "reconnect",
  },
  full: {
    title: "All seats are taken",
    text: "The server holds as many conversations as it can serve well. A seat opens when somebody leaves.",
    action: "reconnect",
  },
  starting: {
    title: "The server is still warming up",
    text: "Its models are being loaded. This takes a moment.",
    action: "reconnect",
  },
  unauthorized: {
    title: "This server asks for a key",
    text: "Enter the key you were given. It stays in this tab and is forgotten when you close it.",
    action: "key",
  },
  refused: {
    title: "The server refused the connection",
    text: "Your key may have all the conversations it is allowed, or this page is not welcome here (server.allowed_origins).",
    action: "reconnect",
  },
  lost: {
    title: "The connection was lost",
    text: "What was said so far is kept, and the conversation goes on where it stopped.",
    action: "reconnect",
  },
  expired: {
    title: "This session has reached its time limit",
    text: "Start a new one: the conversation is carried over.",
    action: "reconnect",
  },
  unsupported: {
    title: "This browser is too old",
    text: "It lacks audio worklets. A current Chrome, Edge, Firefox or Safari has them.",
    action: null,
  },
};

/**
 * Why getUserMedia failed, by the name of its DOMException (W3C Media Capture and Streams, section 10).
 * @param {unknown} error
 * @returns {Problem}
 */
export function microphoneProblem(error) {
  const name = error instanceof Error || error instanceof Object ? /** @type {{name?: string}} */ (error).name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "microphone_denied";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "microphone_missing";
  return "microphone_busy";
}

/**
 * Why a WebSocket did not open. A browser does not show the page the HTTP status of a refused handshake, so two plain
 * requests are asked instead.
 * @param {{status: number, body: unknown} | null} ready answer of GET /readyz; null: no answer
 * @param {number | null} voicesStatus status of GET /v1/voices, which needs the same key as the socket
 * @returns {Problem}
 */
export function handshakeProblem(ready, voicesStatus) {
  if (!ready) return "unreachable";
  if (voicesStatus === 401) return "unauthorized";
  const { sessions, max_sessions: limit } = /** @type {{sessions?: number, max_sessions?: number}} */ (ready.body ?? {});
  if (sessions !== undefined && limit !== undefined && sessions >= limit) return "full";
  if (ready.status === 503) return "starting";
  return "refused";
}
