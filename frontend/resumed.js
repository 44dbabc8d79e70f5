// @ts-check
/** The page's items after it came back, brought in line with those of the server. Pure. */

import { withAssistant, withUser } from "./items.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./events.js").WireItem} WireItem */

/**
 * What the server lost leaves the page, what the page missed comes up, and the words are those of the server. What was
 * said beside the conversation, or is typed and not sent yet, the server never had.
 * @param {State} state
 * @param {import("./events.js").SessionResumed} resumed
 * @returns {State}
 */
export function withServerItems(state, resumed) {
  const ids = new Set(resumed.items.map((item) => item.id));
  const kept = state.items.filter(
    (item) =>
      ids.has(item.id) ||
      resumed.items_left_out > 0 ||
      item.id === state.pendingText?.itemId ||
      (item.role === "assistant" && item.aside),
  );
  return resumed.items.reduce(
    (next, item) => withItem(next, item, resumed.heard_chars[item.id] ?? null),
    { ...state, items: kept },
  );
}

/**
 * @param {State} state
 * @param {WireItem} item
 * @param {number | null} heardChars null: it was heard to its end
 * @returns {State}
 */
function withItem(state, item, heardChars) {
  const part = item.content?.[0];
  const text = (item.content ?? []).map((one) => one.transcript ?? one.text ?? "").join("");
  if (item.type !== "message" || text === "") return state;
  if (item.role === "user") {
    return withUser(state, item.id, (one) => ({ ...one, text, stableChars: text.length, final: true, confirmed: true }));
  }
  if (item.role !== "assistant") return state;
  const spoken = part?.type === "output_audio";
  const known = state.items.some((one) => one.id === item.id);
  return withAssistant(state, item.id, null, (one) => ({
    ...one,
    text,
    spoken,
    audioDone: true,
    ended: known ? one.ended : true,
    heardChars: heardChars ?? one.heardChars,
    interrupted: known ? one.interrupted : heardChars !== null,
  }));
}
