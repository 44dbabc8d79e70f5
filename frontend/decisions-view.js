// @ts-check
/** Draws what turn taking did, newest first. */

import { described } from "./decisions.js";
import { byId, make, setText } from "./elements.js";

/** @typedef {import("./decisions.js").Decision} Decision */

export class DecisionsView {
  /** @param {() => void} onTune */
  constructor(onTune) {
    this.root = byId("decisions", HTMLElement);
    this.headline = byId("decisions-headline", HTMLElement);
    this.list = byId("decisions-list", HTMLElement);
    /** @type {Decision[] | null} */
    this.drawn = null;
    byId("tune", HTMLButtonElement).addEventListener("click", onTune);
  }

  /** @param {Decision[]} decisions newest first */
  draw(decisions) {
    if (decisions === this.drawn) return;
    this.drawn = decisions;
    this.root.hidden = decisions.length === 0;
    const [newest] = decisions;
    if (!newest) return;
    setText(this.headline, described(newest).title);
    this.headline.dataset.decision = newest.decision;
    this.list.replaceChildren(...decisions.map(entry));
  }
}

/** @param {Decision} decision */
function entry(decision) {
  const { title, detail } = described(decision);
  const item = make("li", "decision");
  item.dataset.decision = decision.decision;
  item.append(make("span", "decision-title", title), make("span", "decision-detail", detail));
  return item;
}
