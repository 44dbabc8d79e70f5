// @ts-check
/** Draws how long the person waited, and for what. */

import { seconds } from "./captions-view.js";
import { byId, make, setText } from "./elements.js";
import { medianTotalMs } from "./latency.js";

/** @typedef {import("./state.js").Turn} Turn */
/** @typedef {import("./latency.js").PartName} PartName */

/** @type {Record<PartName, string>} */
const LABELS = {
  endpointing: "End of turn",
  asr: "Recognition",
  llm: "Model",
  tts: "Voice",
  send: "Sending",
  network: "Network",
  playback: "Playback",
};

/** @type {Record<string, string>} */
const STAGE_LABELS = { endpointing: LABELS.endpointing, asr: LABELS.asr, llm: LABELS.llm, tts: LABELS.tts };

export class LatencyView {
  constructor() {
    this.root = byId("latency", HTMLElement);
    this.label = byId("latency-label", HTMLElement);
    this.headline = byId("latency-headline", HTMLElement);
    this.median = byId("latency-median", HTMLElement);
    this.bar = byId("latency-bar", HTMLElement);
    this.parts = byId("latency-parts", HTMLElement);
    this.note = byId("latency-note", HTMLElement);
    this.list = byId("latency-turns", HTMLElement);
    /** @type {Turn[] | null} */
    this.drawn = null;
    /** @type {string | null} response whose parts are shown; null: always the newest */
    this.chosen = null;
  }

  /** @param {Turn[]} turns newest first */
  draw(turns) {
    if (turns === this.drawn) return;
    if (this.drawn?.[0]?.responseId !== turns[0]?.responseId) this.chosen = null;
    this.drawn = turns;
    this.root.hidden = turns.length === 0;
    const turn = turns.find((one) => one.responseId === this.chosen) ?? turns[0];
    if (!turn) return;
    const median = medianTotalMs(turns);
    setText(this.label, turn.toSpeech ? "Voice to voice" : "Text to voice");
    setText(this.headline, turn.totalMs === null ? "no sound" : ms(turn.totalMs));
    setText(this.median, turns.length > 1 && median !== null ? `median ${ms(median)}` : "");
    this.bar.replaceChildren(...barSegments(turn));
    this.bar.setAttribute("aria-label", turn.parts.map((part) => `${LABELS[part.name]} ${ms(part.ms)}`).join(", "));
    this.parts.replaceChildren(...turn.parts.flatMap((part) => partEntry(part)));
    setText(this.note, noteOf(turn));
    this.#drawTurns(turns, turn);
  }

  /**
   * @param {Turn[]} turns
   * @param {Turn} chosen
   */
  #drawTurns(turns, chosen) {
    const longest = Math.max(1, ...turns.map((turn) => turn.totalMs ?? 0));
    const focused = this.list.contains(document.activeElement);
    this.list.replaceChildren(
      ...turns.map((turn) => {
        const button = make("button", "turn");
        button.type = "button";
        button.setAttribute("aria-pressed", String(turn === chosen));
        const bar = make("span", "turn-bar");
        bar.style.setProperty("--share", String((turn.totalMs ?? 0) / longest));
        bar.append(...barSegments(turn));
        const label = turn.totalMs === null ? "–" : ms(turn.totalMs);
        button.append(bar, make("span", "turn-ms", label));
        if (turn.interruptedAtMs !== null) {
          button.dataset.interrupted = "true";
          button.title = `Interrupted after ${seconds(turn.interruptedAtMs)}`;
        }
        button.addEventListener("click", () => {
          this.chosen = turn.responseId;
          this.drawn = null;
          this.draw(turns);
        });
        const entry = make("li");
        entry.append(button);
        return entry;
      }),
    );
    if (focused) /** @type {HTMLElement | null} */ (this.list.querySelector("[aria-pressed=true]"))?.focus();
  }
}

/** @param {Turn} turn */
function barSegments(turn) {
  return turn.parts.map((part) => {
    const segment = make("span", "segment");
    segment.dataset.part = part.name;
    segment.style.setProperty("--ms", String(part.ms));
    return segment;
  });
}

/** @param {import("./latency.js").Part} part */
function partEntry(part) {
  const term = make("dt", "", LABELS[part.name]);
  term.dataset.part = part.name;
  return [term, make("dd", "", ms(part.ms))];
}

/**
 * @param {Turn} turn
 * @returns {string}
 */
function noteOf(turn) {
  const notes = [];
  const waited = new Set(turn.parts.map((part) => /** @type {string} */ (part.name)));
  const ahead = Object.entries(turn.stagesMs).filter(([stage, took]) => took > 0 && !waited.has(stage));
  if (ahead.length > 0 && turn.totalMs !== null) {
    notes.push(`Ran ahead: ${ahead.map(([stage, took]) => `${STAGE_LABELS[stage] ?? stage} ${ms(took)}`).join(", ")}.`);
  }
  if (turn.interruptedAtMs !== null) notes.push(`Interrupted after ${seconds(turn.interruptedAtMs)}.`);
  else if (turn.audioMs) notes.push(`Answer of ${seconds(turn.audioMs)}.`);
  return notes.join(" ");
}

/** @param {number} value */
function ms(value) {
  return `${Math.round(value)} ms`;
}
