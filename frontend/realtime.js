// @ts-check
/**
 * The OpenAI Realtime protocol as this page speaks it: one WebSocket, opened again when it breaks. No DOM, no audio
 * graph; sockets, clock and timers are passed in. Everything the server says is emitted as it came, what happens to the
 * connection as `page.connection`.
 */

import { toBase64 } from "./base64.js";

/** @typedef {import("./events.js").AppEvent} AppEvent */
/** @typedef {import("./events.js").ClientEvent} ClientEvent */
/** @typedef {import("./events.js").ConnectionStatus} ConnectionStatus */
/** @typedef {import("./problems.js").Problem} Problem */

export const MAX_ATTEMPTS = 6;
const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 10_000;
/** A connection that lived this long was a good one: its loss starts the counting of attempts anew. */
const STABLE_MS = 5_000;
/** 20 ms each: what is said while the connection opens is not lost, and three seconds is what a person waits. */
const MAX_HELD_CHUNKS = 150;
/** About 20 s of audio: a server that far behind is no conversation any more. */
const MAX_BACKLOG_BYTES = 1_280_000;

/**
 * @typedef {object} Socket the part of WebSocket that is used
 * @property {number} readyState
 * @property {number} bufferedAmount
 * @property {(data: string) => void} send
 * @property {(code?: number, reason?: string) => void} close
 * @property {((event: any) => void) | null} onopen
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onclose
 */

/**
 * @typedef {object} Surroundings
 * @property {string} url
 * @property {(url: string, protocols: string[]) => Socket} openSocket
 * @property {() => Promise<Problem>} diagnose why a socket did not open
 * @property {(event: AppEvent) => void} emit
 * @property {() => number} nowMs monotonic
 * @property {(action: () => void, delayMs: number) => unknown} schedule
 * @property {(timer: any) => void} unschedule
 * @property {() => number} random in [0, 1)
 */

/**
 * Exponential, bounded, spread by a fifth so that many pages do not come back at once.
 * @param {number} attempt from 1
 * @param {number} random in [0, 1)
 * @returns {number | null} null when it is time to give up
 */
export function reconnectDelayMs(attempt, random) {
  if (attempt > MAX_ATTEMPTS) return null;
  const delay = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempt - 1));
  return Math.round(delay * (0.8 + 0.4 * random));
}

export class RealtimeClient {
  /** @param {Surroundings} surroundings */
  constructor(surroundings) {
    this.around = surroundings;
    /** @type {Socket | null} */
    this.socket = null;
    this.key = "";
    this.attempt = 0;
    this.openedAtMs = 0;
    this.expired = false;
    /** The server lets this page wait for a place: it listens to nothing yet. */
    this.queued = false;
    /** It was said why the wait is over without a place. */
    this.full = false;
    /** @type {unknown} */
    this.timer = null;
    /** @type {string[]} base64 chunks waiting for the connection, oldest first */
    this.held = [];
    /** @type {number[]} when each `session.update` without reply was sent, oldest first */
    this.updatesSentAtMs = [];
  }

  get isOpen() {
    return this.socket?.readyState === 1;
  }

  /**
   * Connect, or connect again at once when an attempt is waiting.
   * @param {string} key "" when the server needs none
   */
  connect(key) {
    this.key = key;
    this.attempt = 0;
    this.expired = false;
    this.#open();
  }

  /** End the conversation: nothing is tried again. */
  close() {
    this.#drop();
    this.held = [];
    this.#tell("closed", null, null);
  }

  /**
   * @param {ClientEvent} event
   * @returns {boolean} false when there is no connection to send it on
   */
  send(event) {
    if (!this.socket || !this.isOpen || this.queued) return false;
    if (event.type === "session.update") this.updatesSentAtMs.push(this.around.nowMs());
    this.socket.send(JSON.stringify(event));
    return true;
  }

  /**
   * Microphone audio; kept for a moment while the connection is being opened.
   * @param {ArrayBuffer} pcm PCM16 at 24 kHz
   */
  appendAudio(pcm) {
    if (this.queued) return;
    const audio = toBase64(pcm);
    if (!this.socket || !this.isOpen) {
      this.held.push(audio);
      if (this.held.length > MAX_HELD_CHUNKS) this.held.shift();
      return;
    }
    if (this.socket.bufferedAmount > MAX_BACKLOG_BYTES) {
      this.#lose("lost");
      return;
    }
    this.send({ type: "input_audio_buffer.append", audio });
  }

  /** Send the audio that was held back. Call it when the session is configured. */
  releaseHeldAudio() {
    for (const audio of this.held) this.send({ type: "input_audio_buffer.append", audio });
    this.held = [];
  }

  #open() {
    this.#drop();
    this.#tell("connecting", null, null);
    const protocols = ["realtime"];
    if (this.key) protocols.push(`openai-insecure-api-key.${this.key}`);
    let socket;
    try {
      socket = this.around.openSocket(this.around.url, protocols);
    } catch {
      // a key with characters that no subprotocol may have
      this.#tell("failed", null, "unauthorized");
      return;
    }
    this.socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.openedAtMs = this.around.nowMs();
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = () => {
      if (this.socket !== socket) return;
      if (opened) this.#lose(this.expired ? "expired" : this.full ? "full" : "lost");
      else void this.#explain(socket);
    };
  }

  /** @param {Socket} socket that did not open */
  async #explain(socket) {
    const problem = await this.around.diagnose();
    if (this.socket === socket) this.#lose(problem);
  }

  /** @param {Problem} problem */
  #lose(problem) {
    const stable = this.openedAtMs > 0 && this.around.nowMs() - this.openedAtMs > STABLE_MS;
    this.#drop();
    if (problem === "unauthorized" || problem === "expired") {
      this.#tell("failed", null, problem);
      return;
    }
    this.attempt = stable ? 1 : this.attempt + 1;
    const delayMs = reconnectDelayMs(this.attempt, this.around.random());
    if (delayMs === null) {
      this.#tell("failed", null, problem);
      return;
    }
    this.#tell("waiting", delayMs, problem);
    this.timer = this.around.schedule(() => this.#open(), delayMs);
  }

  /** @param {unknown} data one frame */
  #receive(data) {
    const event = parse(data);
    if (!event) return;
    if (event.type === "s2s.queue.updated") {
      this.queued = true;
      this.held = [];
    }
    if (event.type === "session.created") {
      this.queued = false;
      this.#tell("open", null, null);
    }
    if (event.type === "error") {
      // it may be the reply to an update: which ones are still open is then not known
      this.updatesSentAtMs = [];
      if (event.error.code === "session_expired") this.expired = true;
      if (event.error.code === "server_full") this.full = true;
    }
    if (event.type === "session.updated") {
      const sentAtMs = this.updatesSentAtMs.shift();
      if (sentAtMs !== undefined) this.around.emit({ type: "page.round_trip", ms: this.around.nowMs() - sentAtMs });
    }
    this.around.emit({ ...event, at_ms: this.around.nowMs() });
  }

  /** Let go of the socket and of a waiting attempt. */
  #drop() {
    this.around.unschedule(this.timer);
    this.timer = null;
    this.openedAtMs = 0;
    this.queued = false;
    this.full = false;
    this.updatesSentAtMs = [];
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onopen = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close(1000);
  }

  /**
   * @param {ConnectionStatus} status
   * @param {number | null} retryInMs
   * @param {Problem | null} problem
   */
  #tell(status, retryInMs, problem) {
    this.around.emit({
      type: "page.connection",
      status,
      attempt: this.attempt,
      retry_in_ms: retryInMs,
      problem,
    });
  }
}

/**
 * @param {unknown} data
 * @returns {import("./events.js").ServerEvent | null} null for what is no event
 */
function parse(data) {
  if (typeof data !== "string") return null;
  try {
    const event = JSON.parse(data);
    return event !== null && typeof event === "object" && typeof event.type === "string" ? event : null;
  } catch {
    return null;
  }
}
