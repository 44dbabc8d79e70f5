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
/**
 * 20 ms each: what is said while the connection opens is not lost, and three seconds is what a person waits. What was
 * sent is kept as long, since the last of it may be lost with a connection.
 */
const MAX_KEPT_CHUNKS = 150;
/** PCM16 at 24 kHz */
const BYTES_PER_MS = 48;
/** The server's word that a token is worth nothing (any more). */
const TOKEN_REFUSED = 4404;
/** This page's word that it gives up on the socket, not on the conversation. */
const SOCKET_GIVEN_UP = 4001;
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
    /** One-time, from the server: with it the conversation goes on after the socket was lost. @type {string | null} */
    this.token = null;
    /** The session takes audio. */
    this.ready = false;
    /** The microphone's newest chunks; `atMs` on the session's audio clock. @type {{atMs: number, ms: number, audio: string, sent: boolean}[]} */
    this.kept = [];
    this.audioMs = 0;
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
    this.#drop(1000);
    this.kept = [];
    this.token = null;
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
   * Microphone audio; held back while there is no session to take it.
   * @param {ArrayBuffer} pcm PCM16 at 24 kHz
   */
  appendAudio(pcm) {
    if (this.queued) return;
    const chunk = { atMs: this.audioMs, ms: pcm.byteLength / BYTES_PER_MS, audio: toBase64(pcm), sent: false };
    this.audioMs += chunk.ms;
    this.kept.push(chunk);
    if (this.kept.length > MAX_KEPT_CHUNKS) this.kept.shift();
    if (this.isOpen && (this.socket?.bufferedAmount ?? 0) > MAX_BACKLOG_BYTES) this.#lose("lost");
    else if (this.ready) this.#sendAudio(chunk);
  }

  /** A session has begun: send the audio that was held back. Call it when the session is configured. */
  releaseHeldAudio() {
    if (this.ready) return;
    this.kept = this.kept.filter((chunk) => !chunk.sent);
    this.#sendAudioFrom(0);
  }

  /**
   * Audio flows again, with what is kept.
   * @param {number} atMs of the first chunk, on the session's audio clock
   */
  #sendAudioFrom(atMs) {
    this.ready = true;
    this.audioMs = atMs;
    for (const chunk of this.kept) {
      chunk.atMs = this.audioMs;
      this.audioMs += chunk.ms;
      this.#sendAudio(chunk);
    }
  }

  /** @param {{audio: string, sent: boolean}} chunk */
  #sendAudio(chunk) {
    chunk.sent = this.send({ type: "input_audio_buffer.append", audio: chunk.audio }) || chunk.sent;
  }

  #open() {
    this.#drop(SOCKET_GIVEN_UP);
    this.#tell("connecting", null, null);
    const protocols = ["realtime"];
    if (this.token) protocols.push(`s2s-resume.${this.token}`);
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
    socket.onclose = (event) => {
      if (this.socket !== socket) return;
      if (event.code === TOKEN_REFUSED) this.#startAnew();
      else if (opened) this.#lose(this.expired ? "expired" : this.full ? "full" : "lost");
      else void this.#explain(socket);
    };
  }

  /** The server has no such conversation any more; what was said so far is told to a new one. */
  #startAnew() {
    this.token = null;
    this.around.emit({ type: "page.notice", text: "The call could not be picked up again; a new one goes on from it." });
    this.#open();
  }

  /** @param {Socket} socket that did not open */
  async #explain(socket) {
    const problem = await this.around.diagnose();
    if (this.socket === socket) this.#lose(problem);
  }

  /** @param {Problem} problem */
  #lose(problem) {
    const stable = this.openedAtMs > 0 && this.around.nowMs() - this.openedAtMs > STABLE_MS;
    this.#drop(SOCKET_GIVEN_UP);
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
      this.kept = [];
      this.audioMs = 0;
    }
    if (event.type === "session.created" || event.type === "s2s.session.resumed") {
      this.queued = false;
      this.#tell("open", null, null);
    }
    if (event.type === "s2s.session.resumable") {
      this.token = event.token;
      return;
    }
    if (event.type === "s2s.session.resumed") {
      this.token = null;
      this.kept = this.kept.filter((chunk) => chunk.atMs + chunk.ms / 2 >= event.input_audio_ms);
      this.#sendAudioFrom(event.input_audio_ms);
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

  /**
   * Let go of the socket and of a waiting attempt.
   * @param {number} code with which an open socket is closed
   */
  #drop(code) {
    this.around.unschedule(this.timer);
    this.timer = null;
    this.openedAtMs = 0;
    this.queued = false;
    this.full = false;
    this.updatesSentAtMs = [];
    this.ready = false;
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onopen = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close(code);
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
