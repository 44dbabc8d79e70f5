// @ts-check
/** Tools the agent uses on the server, as the page shows them. Pure. */

/** @typedef {"running" | "done" | "failed"} ToolStatus */
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
  if (!runs.some((run) => run.status === "running")) return runs;
  return runs.map((run) => (run.status === "running" ? { ...run, status: "failed", error: "the connection was lost" } : run));
}

/**
 * @param {ToolRun} run
 * @returns {string} e.g. “Used order status, 1.2 s”
 */
export function runText({ name, status, elapsedMs, error }) {
  const tool = name.replace(/[_-]+/g, " ").trim();
  const took = elapsedMs === null ? "" : `, ${(elapsedMs / 1000).toFixed(1)} s`;
  if (status === "running") return `Using ${tool}`;
  if (status === "done") return `Used ${tool}${took}`;
  return `${tool[0]?.toUpperCase() ?? ""}${tool.slice(1)} failed${error ? `: ${error}` : ""}`;
}
