// @ts-check
/** Changing one item of the conversation, and what becomes of items when the agent falls silent. Pure. */

import { assistantItem } from "./state.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./state.js").Item} Item */
/** @typedef {import("./state.js").UserItem} UserItem */
/** @typedef {import("./state.js").AssistantItem} AssistantItem */

const MAX_ITEMS = 200;

/**
 * Change the user's item with this id; one that is not known yet comes up at the end.
 * @param {State} state
 * @param {string} id
 * @param {(item: UserItem) => UserItem} change
 * @returns {State}
 */
export function withUser(state, id, change) {
  const index = state.items.findIndex((item) => item.id === id);
  const found = state.items[index];
  if (found?.role === "assistant") return state;
  /** @type {UserItem} */
  const before = found ?? {
    role: "user",
    id,
    text: "",
    deltas: "",
    stableChars: 0,
    final: false,
    confirmed: false,
    failed: false,
  };
  return withItem(state, index, found, change(before));
}

/**
 * Change the agent's item with this id; one that is not known yet comes up at the end.
 * @param {State} state
 * @param {string} id
 * @param {string | null} responseId of an item that is not known yet
 * @param {(item: AssistantItem) => AssistantItem} change
 * @returns {State}
 */
export function withAssistant(state, id, responseId, change) {
  const index = state.items.findIndex((item) => item.id === id);
  const found = state.items[index];
  if (found?.role === "user") return state;
  /** @type {AssistantItem} */
  const before = found ?? {
    role: "assistant",
    id,
    responseId,
    text: "",
    words: [],
    spoken: true,
    audioMs: 0,
    audioDone: false,
    heardMs: 0,
    heardChars: null,
    ended: false,
    interrupted: false,
    silenced: false,
    aside: responseId !== null && responseId === state.asideId,
  };
  return withItem(state, index, found, change(before));
}

/**
 * Change the agent's item with this id, if there is one.
 * @param {State} state
 * @param {string} id
 * @param {(item: AssistantItem) => AssistantItem} change
 * @returns {State}
 */
export function withExistingAssistant(state, id, change) {
  return assistantItem(state, id) ? withAssistant(state, id, null, change) : state;
}

/**
 * @param {State} state
 * @param {number} index where `before` stands; -1 puts the item at the end
 * @param {Item | undefined} before
 * @param {Item} after
 * @returns {State}
 */
function withItem(state, index, before, after) {
  if (before === after) return state;
  if (index < 0) return { ...state, items: [...state.items, after].slice(-MAX_ITEMS) };
  return { ...state, items: state.items.with(index, after) };
}

/**
 * @param {State} state
 * @param {string} id
 * @returns {State}
 */
export function withoutItem(state, id) {
  return { ...state, items: state.items.filter((item) => item.id !== id) };
}

/**
 * @param {State} state
 * @param {(item: AssistantItem) => AssistantItem} change
 * @returns {State}
 */
export function mapAssistants(state, change) {
  return { ...state, items: state.items.map((item) => (item.role === "assistant" ? change(item) : item)) };
}

/**
 * The agent yields: whatever is not heard by now never will be, and audio on its way is not played.
 * @param {State} state
 * @returns {State}
 */
export function silence(state) {
  return mapAssistants(state, (item) => {
    const active = item.responseId !== null && item.responseId === state.responseId;
    const open = !item.ended && (item.audioMs > 0 || active);
    return open && item.spoken && !item.silenced ? { ...item, silenced: true } : item;
  });
}

/**
 * @param {AssistantItem} item
 * @returns {AssistantItem} marked as interrupted unless it was heard to its end
 */
export function cutShort(item) {
  const heardToItsEnd = item.ended && !item.silenced;
  return heardToItsEnd || !item.spoken || item.interrupted ? item : { ...item, interrupted: true };
}
