// @ts-check
/** The documents panel: what answers are given from, files added to it, and taken out again. */

import { factsOf, listingOf, outcomeText, refusalBefore } from "./documents.js";
import { byId, icon, make, setText } from "./elements.js";
import { refusalText } from "./voice-recording.js";

/** @typedef {import("./documents.js").Document} Document */
/** @typedef {import("./documents.js").Listing} Listing */
/** @typedef {{status: number, body: unknown} | null} Answer null when the server does not answer */
/** @typedef {(method: "GET" | "POST" | "DELETE", path: string, body?: FormData) => Promise<Answer>} SendRequest */

const SILENT = "The server does not answer.";

export class DocumentsView {
  /** @param {SendRequest} send */
  constructor(send) {
    this.send = send;
    this.dialog = byId("documents", HTMLDialogElement);
    this.open = byId("documents-open", HTMLButtonElement);
    this.file = byId("documents-file", HTMLInputElement);
    this.drop = byId("documents-drop", HTMLElement);
    this.status = byId("documents-status", HTMLElement);
    this.list = byId("documents-list", HTMLElement);
    /** @type {Listing | null} */
    this.listing = null;
    this.busy = false;
    /** @type {string} id of the document whose removal was asked for once */
    this.sure = "";
    this.open.addEventListener("click", () => {
      this.dialog.showModal();
      void this.load();
    });
    // a click on the backdrop is a click on the dialog itself
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    this.file.addEventListener("change", () => {
      const files = [...(this.file.files ?? [])];
      this.file.value = ""; // the same file may be chosen again
      void this.#add(files);
    });
    this.#listenForDrops();
  }

  /** Ask the server what there is; without documents to search the panel stays out of sight. */
  async load() {
    const answer = await this.send("GET", "/v1/documents");
    if (answer?.status === 200) this.listing = listingOf(answer.body);
    this.open.hidden = this.listing === null;
    this.#draw();
  }

  #listenForDrops() {
    this.dialog.addEventListener("dragover", (event) => {
      event.preventDefault();
      this.drop.dataset.over = "true";
    });
    this.dialog.addEventListener("dragleave", () => {
      this.drop.dataset.over = "false";
    });
    this.dialog.addEventListener("drop", (event) => {
      event.preventDefault();
      this.drop.dataset.over = "false";
      void this.#add([...(event.dataTransfer?.files ?? [])]);
    });
  }

  /** @param {File[]} files */
  async #add(files) {
    if (this.busy || files.length === 0) return;
    this.#setBusy(true);
    /** @type {string[]} */
    const added = [];
    /** @type {{name: string, reason: string}[]} */
    const refused = [];
    for (const [index, file] of files.entries()) {
      setText(this.status, `Adding ${file.name}${files.length > 1 ? ` (${index + 1} of ${files.length})` : ""}`);
      const reason = refusalBefore(file, this.listing?.maxBytes ?? null) ?? (await this.#send(file, added));
      if (reason !== null) refused.push({ name: file.name, reason });
    }
    await this.load();
    setText(this.status, outcomeText(added, refused));
    this.#setBusy(false);
  }

  /**
   * @param {File} file
   * @param {string[]} added takes its title
   * @returns {Promise<string | null>} why it was refused
   */
  async #send(file, added) {
    const form = new FormData();
    form.append("file", file, file.name);
    const answer = await this.send("POST", "/v1/documents", form);
    if (answer?.status !== 201) return answer ? refusalText(answer.body) : SILENT;
    const { title } = /** @type {{title?: unknown}} */ (answer.body ?? {});
    added.push(typeof title === "string" && title ? title : file.name);
    return null;
  }

  /** @param {Document} document */
  async #remove(document) {
    if (this.busy) return;
    if (this.sure !== document.id) {
      this.sure = document.id; // the second click is meant
      this.#draw();
      return;
    }
    this.#setBusy(true);
    const answer = await this.send("DELETE", `/v1/documents/${encodeURIComponent(document.id)}`);
    this.sure = "";
    await this.load();
    const done = `Removed “${document.title}”.`;
    setText(this.status, answer?.status === 200 ? done : answer ? refusalText(answer.body) : SILENT);
    this.#setBusy(false);
  }

  /** @param {boolean} busy */
  #setBusy(busy) {
    this.busy = busy;
    this.#draw();
  }

  #draw() {
    this.drop.hidden = this.listing?.maxBytes === null;
    this.file.disabled = this.busy;
    this.drop.dataset.busy = String(this.busy);
    this.list.replaceChildren(...(this.listing?.documents ?? []).map((document) => this.#row(document)));
  }

  /** @param {Document} document */
  #row(document) {
    const row = make("li", "document");
    row.dataset.problem = String(document.problem !== "");
    const words = make("div");
    words.append(make("p", "title", document.title), make("p", "path", factsOf(document)));
    row.append(icon("document"), words);
    if (document.removable) {
      const sure = this.sure === document.id;
      const remove = make("button", "quiet small", sure ? "Remove it for good" : "Remove");
      remove.type = "button";
      remove.disabled = this.busy;
      remove.setAttribute("aria-label", `${sure ? "Remove for good" : "Remove"} ${document.title}`);
      remove.addEventListener("click", () => void this.#remove(document));
      row.append(remove);
    }
    return row;
  }
}
