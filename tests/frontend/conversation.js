// @ts-check
/** A page without browser: events go through the reducer, commands are collected. Used by the tests beside it. */

import { commandsFor } from "../../frontend/commands.js";
import { reduce } from "../../frontend/reduce.js";
import { INITIAL } from "../../frontend/state.js";

/** 100 ms of silence as it comes over the wire. */
export const AUDIO_100_MS = Buffer.alloc(4800).toString("base64");

export class Conversation {
  constructor() {
    this.state = INITIAL;
    this.nowMs = 0;
    /** @type {import("../../frontend/commands.js").Command[]} */
    this.commands = [];
  }

  /**
   * @param {...any} events
   * @returns {import("../../frontend/commands.js").Command[]} what these events gave rise to
   */
  feed(...events) {
    const first = this.commands.length;
    for (const event of events) {
      const before = this.state;
      const stamped = { at_ms: this.nowMs, ...event };
      this.state = reduce(before, stamped);
      this.commands.push(...commandsFor(before, stamped, this.state));
    }
    return this.commands.slice(first);
  }

  /** @param {{interrupt_response?: boolean}} [turnDetection] */
  connect(turnDetection = {}) {
    const session = {
      id: "sess_1",
      instructions: "",
      expires_at: 0,
      audio: {
        input: { turn_detection: { type: "server_vad", ...turnDetection } },
        output: { voice: "default", speed: 1 },
      },
    };
    return this.feed(connection("connecting"), connection("open"), { type: "session.created", session });
  }

  /**
   * An answer of one segment, received whole; `ms` of audio, each word 100 ms long.
   * @param {string} text
   */
  answer(text, { responseId = "resp_1", itemId = "item_a", done = true } = {}) {
    const ids = { response_id: responseId, item_id: itemId };
    const words = [...text.matchAll(/\S+/g)].map((match, index) => ({
      start: match.index,
      end: match.index + match[0].length,
      start_ms: index * 100,
      end_ms: index * 100 + 100,
    }));
    /** @type {any[]} */
    const events = [
      { type: "response.created", response: { id: responseId, status: "in_progress", output: [] } },
      { type: "response.output_item.added", response_id: responseId, item: { id: itemId, type: "message" } },
      { type: "response.output_audio_transcript.delta", ...ids, delta: text },
      { type: "s2s.response.words", ...ids, words },
      ...words.map(() => ({ type: "response.output_audio.delta", ...ids, delta: AUDIO_100_MS })),
    ];
    if (done) {
      events.push({ type: "response.output_audio.done", ...ids });
      events.push({ type: "response.done", response: { id: responseId, status: "completed", output: [] } });
    }
    return this.feed(...events);
  }

  /** @param {string} id */
  item(id) {
    return /** @type {any} */ (this.state.items.find((item) => item.id === id));
  }

  /** @returns {any[]} events sent to the server so far */
  get sent() {
    return this.commands.flatMap((command) => (command.kind === "send" ? [command.event] : []));
  }
}

/**
 * @param {string} status
 * @param {string | null} [problem]
 */
export function connection(status, problem = null) {
  return { type: "page.connection", status, attempt: 0, retry_in_ms: null, problem };
}

/** @param {number} playedMs */
export function position(playedMs, itemId = "item_a") {
  return { type: "page.player.position", item_id: itemId, played_ms: playedMs, heard_ms: playedMs };
}

/**
 * @param {number} playedMs
 * @param {number} droppedMs
 */
export function flushed(playedMs, droppedMs, itemId = "item_a") {
  return {
    type: "page.player.flushed",
    items: [{ item_id: itemId, played_ms: playedMs, dropped_ms: droppedMs }],
  };
}

export const started = { type: "page.player.started", item_id: "item_a" };
export const speechStarted = { type: "input_audio_buffer.speech_started", item_id: "item_u", audio_start_ms: 900 };
export const cancelled = {
  type: "response.done",
  response: { id: "resp_1", status: "cancelled", status_details: null, output: [] },
};
