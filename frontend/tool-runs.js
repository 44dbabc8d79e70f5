// @ts-check
/** Tools the agent uses on the server, as the page shows them. Pure. */

/** @typedef {"running" | "asked" | "done" | "failed"} ToolStatus `asked`: it waits for the person's consent */
/** @typedef {{callId: string, name: string, status: ToolStatus, elapsedMs: number | null, error: string}} ToolRun */

const MAX_RUNS = 50;

/**
 * @param {ToolRun[]} runs
 * @param {string} callId
 * @param {string} name
 * @returns {ToolRun[]}
 */
export function withStarted(runs, callId, name) {
  if (runs.some((run) => run.callId === callId)) return runs;
  /** @type {ToolRun} */
  const started = { callId, name, status: "running", elapsedMs: null, error: "" };
  return [...runs, started].slice(-MAX_RUNS);
}

/**
 * @param {ToolRun[]} runs
 * @param {string} callId
 * @param {Partial<ToolRun>} change
 * @returns {ToolRun[]}
 */
export function withChanged(runs, callId, change) {
  return runs.map((run) => (run.callId === callId ? { ...run, ...change } : run));
}

/**
 * The connection is gone, and with it the work.
 * @param {ToolRun[]} runs
 * @returns {ToolRun[]}
 */
export function withAbandoned(runs) {
  const isOpen = (/** @type {ToolRun} */ run) => run.status === "running" || run.status === "asked";
  if (!runs.some(isOpen)) return runs;
  return runs.map((run) => (isOpen(run) ? { ...run, status: "failed", error: "the connection was lost" } : run));
}

/**
 * @param {ToolRun} run
 * @returns {string} e.g. “Used order status, 1.2 s”
 */
export function runText({ name, status, elapsedMs, error }) {
  const tool = name.replace(/[_-]+/g, " ").trim();
  const took = elapsedMs === null ? "" : `, ${(elapsedMs / 1000).toFixed(1)} s`;
  if (status === "running") return `Using ${tool}`;
  if (status === "asked") return `Waiting for your consent: ${tool}`;
  if (status === "done") return `Used ${tool}${took}`;
  return `${tool[0]?.toUpperCase() ?? ""}${tool.slice(1)} failed${error ? `: ${error}` : ""}`;
}
