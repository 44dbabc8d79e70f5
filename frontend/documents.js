// @ts-check
/** What the documents panel knows: the server's list, checked, and what is said about files. Pure. */

/** @typedef {{id: string, title: string, path: string, sizeBytes: number, passages: number, removable: boolean, problem: string}} Document */
/** @typedef {{documents: Document[], maxBytes: number | null}} Listing `maxBytes` null: nothing can be added */

/** Endings the server reads; it has the last word. */
export const ENDINGS = Object.freeze([".md", ".markdown", ".txt", ".html", ".htm", ".pdf", ".docx", ".csv", ".tsv"]);

/**
 * The server's answer to GET /v1/documents, checked.
 * @param {unknown} body
 * @returns {Listing | null} null when the server has no documents to search
 */
export function listingOf(body) {
  const { data, uploads } = /** @type {{data?: unknown, uploads?: {max_bytes?: unknown} | null}} */ (body ?? {});
  if (!Array.isArray(data) || uploads === undefined || uploads === null) return null;
  const maxBytes = typeof uploads.max_bytes === "number" ? uploads.max_bytes : null;
  return { documents: data.flatMap(documentOf), maxBytes };
}

/**
 * @param {unknown} raw
 * @returns {Document[]} one, or none when it is not what a document looks like
 */
function documentOf(raw) {
  const one = /** @type {Record<string, unknown>} */ (raw ?? {});
  if (typeof one.id !== "string" || typeof one.path !== "string") return [];
  return [
    {
      id: one.id,
      title: typeof one.title === "string" && one.title ? one.title : one.path,
      path: one.path,
      sizeBytes: typeof one.size_bytes === "number" ? one.size_bytes : 0,
      passages: typeof one.passages === "number" ? one.passages : 0,
      removable: one.removable === true,
      problem: typeof one.problem === "string" ? one.problem : "",
    },
  ];
}

/**
 * Why a file need not even be sent.
 * @param {{name: string, size: number}} file
 * @param {number | null} maxBytes
 * @returns {string | null} null: send it
 */
export function refusalBefore(file, maxBytes) {
  if (maxBytes === null) return "This server takes no documents.";
  const ending = file.name.slice(file.name.lastIndexOf(".")).toLowerCase();
  if (!ENDINGS.includes(ending)) return `It cannot be read; files must end in one of ${ENDINGS.join(", ")}.`;
  if (file.size === 0) return "It is empty.";
  if (file.size > maxBytes) return `It is ${sizeText(file.size)} large; at most ${sizeText(maxBytes)} can be added.`;
  return null;
}

/**
 * One line below the title of a document.
 * @param {Document} document
 */
export function factsOf({ path, sizeBytes, passages, problem }) {
  if (problem) return `${path}, not searched: ${problem}`;
  return `${path}, ${sizeText(sizeBytes)}, ${passages === 1 ? "1 passage" : `${passages} passages`}`;
}

/**
 * What became of an upload of several files.
 * @param {string[]} added titles
 * @param {{name: string, reason: string}[]} refused
 * @returns {string}
 */
export function outcomeText(added, refused) {
  const lines = refused.map(({ name, reason }) =>
    reason.includes(name) ? `Not added: ${reason}` : `Not added: ${name}. ${reason}`,
  );
  if (added.length === 1) lines.unshift(`Added “${added[0]}”. Ask about it.`);
  else if (added.length > 1) lines.unshift(`Added ${added.length} documents. Ask about them.`);
  return lines.join("\n");
}

/** @param {number} bytes */
export function sizeText(bytes) {
  if (bytes >= 2 ** 20) return `${(bytes / 2 ** 20).toFixed(1)} MB`;
  return bytes >= 1024 ? `${Math.round(bytes / 1024)} kB` : `${bytes} bytes`;
}
