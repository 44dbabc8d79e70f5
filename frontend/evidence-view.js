// @ts-check
/** Draws what an answer rests on: the search under way, the passages with their quotations, and the tools in use. */

import { icon, make, setText } from "./elements.js";
import { runText } from "./tool-runs.js";

/** @typedef {import("./events.js").Source} Source */
/** @typedef {import("./state.js").State} State */
/** @typedef {State["evidence"][string]} Evidence */
/** @typedef {import("./tool-runs.js").ToolRun} ToolRun */

/**
 * @param {HTMLElement} footer below the answer
 * @param {Evidence | undefined} evidence
 */
export function drawEvidence(footer, evidence) {
  const wasOpen = footer.querySelector("details")?.open === true;
  footer.replaceChildren();
  if (!evidence) return;
  if (evidence.query !== null) footer.append(make("p", "searching", `Looking up “${evidence.query}”`));
  if (evidence.sources.length === 0) return;
  const details = make("details", "sources");
  details.open = wasOpen;
  const summary = make("summary");
  summary.append(icon("document"), make("span", "", summaryText(evidence.sources)), icon("chevron"));
  const list = make("ol");
  list.append(...evidence.sources.map(sourceEntry));
  details.append(summary, list);
  footer.append(details);
}

/**
 * @param {Source[]} sources at least one
 * @returns {string} e.g. “From Opening hours and 1 more”
 */
export function summaryText(sources) {
  const titles = [...new Set(sources.map((source) => source.title))];
  const more = titles.length - 1;
  return more > 0 ? `From ${titles[0]} and ${more} more` : `From ${titles[0]}`;
}

/** @param {Source} source */
function sourceEntry(source) {
  const entry = make("li");
  entry.dataset.source = source.id;
  const quotation = make("blockquote", "quotation", source.text || source.snippet);
  quotation.tabIndex = 0; // a long one scrolls, also by keyboard
  const place = [source.heading, source.location].filter(Boolean).join(", ");
  entry.append(sourceTitle(source));
  if (place) entry.append(make("p", "place", place));
  entry.append(quotation);
  if (source.path) entry.append(make("p", "path", source.path));
  return entry;
}

/** @param {Source} source */
function sourceTitle(source) {
  if (!source.url || !/^https?:\/\//.test(source.url)) return make("p", "title", source.title);
  const link = make("a", "title", source.title);
  link.href = source.url;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  return link;
}

/** One line per tool the agent uses, where in the conversation it began. */
export class ToolsView {
  /** @param {HTMLElement} list of the conversation */
  constructor(list) {
    this.list = list;
    /** @type {Map<string, HTMLElement>} */
    this.rows = new Map();
    /** @type {ToolRun[] | null} */
    this.drawn = null;
  }

  /**
   * @param {ToolRun[]} runs
   * @returns {boolean} whether anything changed
   */
  draw(runs) {
    if (runs === this.drawn) return false;
    this.drawn = runs;
    const gone = new Map(this.rows);
    for (const run of runs) {
      gone.delete(run.callId);
      const row = this.rows.get(run.callId) ?? this.#newRow(run);
      row.dataset.status = run.status;
      setText(/** @type {Element} */ (row.lastElementChild), runText(run));
    }
    for (const [callId, row] of gone) {
      row.remove();
      this.rows.delete(callId);
    }
    return true;
  }

  /** @param {ToolRun} run */
  #newRow(run) {
    const row = make("p", "tool");
    row.dataset.call = run.callId;
    row.append(icon("tool"), make("span"));
    this.rows.set(run.callId, row);
    this.list.append(row);
    return row;
  }
}
