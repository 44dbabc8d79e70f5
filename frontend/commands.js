// @ts-check
/**
 * What is to be done about an event: `commandsFor(before, event, after)` returns instructions for the socket and the
 * player. Pure, so every rule of barge-in and truncation can be tested as a list.
 */

import { heardText } from "./captions.js";
import { assistantItem } from "./state.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./events.js").AppEvent} AppEvent */
/** @typedef {import("./events.js").ClientEvent} ClientEvent */

/**
 * @typedef {{kind: "send", event: ClientEvent}
 *   | {kind: "configure"}
 *   | {kind: "play", itemId: string, audio: string}
 *   | {kind: "finish", itemId: string}
 *   | {kind: "gain", gain: number, rampMs: number}
 *   | {kind: "pause"}
 *   | {kind: "resume"}
 *   | {kind: "flush"}} Command
 */

/** Changes nothing; its reply tells how long the way to the server and back takes, at a time when nobody waits. @type {Command} */
const PROBE = { kind: "send", event: { type: "session.update", session: { type: "realtime" } } };

/** Items given back to a server that lost them; older ones are of little use to an answer. */
const MAX_REPLAYED = 30;

/**
 * @param {State} before
 * @param {AppEvent} event
 * @param {State} after `reduce(before, event)`
 * @returns {Command[]} in the order they are to be carried out
 */
export function commandsFor(before, event, after) {
  switch (event.type) {
    case "session.created":
      return [{ kind: "configure" }, ...replay(before), ...ask(before)];
    case "s2s.session.resumed":
      return [...stoppedAt(before, event.spoken_item_id), ...ask(before)];
    case "page.connection":
      return unfinished(before, after);
    case "input_audio_buffer.speech_started":
      return after.session?.interruptible === false ? [PROBE] : [{ kind: "flush" }, PROBE];
    case "response.output_audio.delta":
      return assistantItem(after, event.item_id)?.silenced
        ? []
        : [{ kind: "play", itemId: event.item_id, audio: event.delta }];
    case "response.output_audio.done":
      return [{ kind: "finish", itemId: event.item_id }];
    case "response.done":
      return event.response.status === "cancelled" && isPlaying(before, event.response.id) ? [{ kind: "flush" }] : [];
    case "s2s.playback.gain":
      return [{ kind: "gain", gain: event.gain, rampMs: event.ramp_ms }];
    case "s2s.playback.pause":
      return [{ kind: "pause" }];
    case "s2s.playback.resume":
      return [{ kind: "resume" }];
    case "page.player.paused":
      return [played(event.item_id, event.played_ms, false)];
    case "page.player.position":
      return after.playback.reportedMs === before.playback.reportedMs
        ? []
        : [played(event.item_id, event.played_ms, false)];
    case "page.player.ended":
      return [played(event.item_id, event.played_ms, true)];
    case "page.player.flushed":
      return [
        ...event.items.flatMap((item) => truncation(before, item)),
        ...(before.connection.status === "open" ? ask(before) : []),
      ];
    case "page.text_submitted":
      return after.connection.status === "open" ? interrupt(before) : [];
    case "page.stop_requested":
      return interrupt(before);
    default:
      return [];
  }
}

/**
 * Stop the answer. What is asked next waits for the player's word on how much was heard (`page.player.flushed`).
 * @param {State} state
 * @returns {Command[]}
 */
function interrupt(state) {
  /** @type {Command[]} */
  const commands = [{ kind: "flush" }];
  if (state.responseId !== null) {
    commands.unshift({ kind: "send", event: { type: "response.cancel", response_id: state.responseId } });
  }
  return commands;
}

/**
 * @param {State} state
 * @returns {Command[]} the typed question that was waiting
 */
function ask(state) {
  if (!state.pendingText) return [];
  const { itemId, text } = state.pendingText;
  const item = { id: itemId, type: "message", role: "user", content: [{ type: "input_text", text }] };
  return [
    { kind: "send", event: { type: "conversation.item.create", item } },
    { kind: "send", event: { type: "response.create" } },
  ];
}

/**
 * @param {State} before
 * @param {{item_id: string, played_ms: number, dropped_ms: number}} flushed
 * @returns {Command[]} nothing when the answer had been heard to its end
 */
function truncation(before, flushed) {
  const playedMs = Math.floor(flushed.played_ms);
  const item = assistantItem(before, flushed.item_id);
  const unheard = flushed.dropped_ms > 0 || !item?.audioDone || item.interrupted;
  if (!unheard) return [played(flushed.item_id, playedMs, true)];
  return [
    {
      kind: "send",
      event: {
        type: "conversation.item.truncate",
        item_id: flushed.item_id,
        content_index: 0,
        audio_end_ms: playedMs,
      },
    },
    played(flushed.item_id, playedMs, true),
  ];
}

/**
 * @param {string} itemId
 * @param {number} playedMs
 * @param {boolean} ended
 * @returns {Command}
 */
function played(itemId, playedMs, ended) {
  return {
    kind: "send",
    event: { type: "s2s.playback.updated", item_id: itemId, audio_played_ms: Math.floor(playedMs), ended },
  };
}

/**
 * The connection is gone: what has arrived is still played, but no more is waited for.
 * @param {State} before
 * @param {State} after
 * @returns {Command[]}
 */
function unfinished(before, after) {
  if (after.connection.status === "open") return [];
  if (after.connection.status === "closed") return [{ kind: "flush" }];
  /** @type {Command[]} */
  const commands = [];
  if (before.playback.paused) commands.push({ kind: "resume" });
  if (before.playback.gain < 1) commands.push({ kind: "gain", gain: 1, rampMs: 100 });
  for (const item of before.items) {
    if (item.role === "assistant" && item.audioMs > 0 && !item.audioDone) commands.push({ kind: "finish", itemId: item.id });
  }
  return commands;
}

/**
 * Back in the conversation: how much was heard of what was being said. Of what still plays the player tells soon.
 * @param {State} before
 * @param {string | null} itemId
 * @returns {Command[]}
 */
function stoppedAt(before, itemId) {
  if (itemId === null) return [];
  const item = assistantItem(before, itemId);
  if (item && item.audioMs > 0 && !item.ended) return [];
  return [played(itemId, item?.heardMs ?? 0, true)];
}

/**
 * A new connection starts with an empty conversation: give it what both sides said, the agent's side as it was heard.
 * @param {State} state
 * @returns {Command[]}
 */
function replay(state) {
  return state.items.slice(-MAX_REPLAYED).flatMap((item) => {
    if (item.id === state.pendingText?.itemId || (item.role === "assistant" && item.aside)) return [];
    const text = item.role === "user" ? (item.final ? item.text : "") : heardText(item);
    if (text === "") return [];
    const type = item.role === "user" ? "input_text" : "output_text";
    const message = { id: item.id, type: "message", role: item.role, content: [{ type, text }] };
    return [{ kind: "send", event: { type: "conversation.item.create", item: message } }];
  });
}

/**
 * @param {State} state
 * @param {string} responseId
 */
function isPlaying(state, responseId) {
  return state.items.some(
    (item) => item.role === "assistant" && item.responseId === responseId && item.audioMs > 0 && !item.ended,
  );
}
