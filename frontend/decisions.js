// @ts-check
/** What turn taking did, in words. Pure. */

/**
 * @typedef {object} Decision
 * @property {number} id
 * @property {string} decision ducked, yielded, stopped, went_on, turn_ended, passed_over or said_...
 * @property {string} reason
 * @property {number | null} afterMs how long it took to be sure
 * @property {number | null} finished how finished the turn seemed, 0 to 1
 * @property {string} text what was said, of a filler and the like
 */

/** @type {Record<string, string>} */
const TITLES = {
  ducked: "Lowered its voice",
  yielded: "Paused",
  stopped: "Stopped",
  went_on: "Went on",
  turn_ended: "Your turn was over",
  passed_over: "Did not answer",
  said_filler: "Bridged the wait",
  said_reprompt: "Asked if you are there",
  said_goodbye: "Said goodbye",
  said_backchannel: "Showed it listens",
};

/** @type {Record<string, Record<string, string>>} */
const REASONS = {
  ducked: { voice: "was that meant for it?" },
  yielded: { voice: "you may be interrupting", undecided: "you may be interrupting" },
  stopped: {
    voice: "you spoke",
    long_voice: "you kept speaking",
    command: "you told it to",
    words: "you said something new",
    answer: "you answered",
  },
  went_on: {
    backchannel: "you only agreed",
    silence: "it was nothing",
    no_words: "there were no words in it",
    unclear_words: "there were no clear words in it",
    echo: "it heard itself",
    aside: "it was not meant for it",
  },
  passed_over: { aside: "far away and not understood; say it again and it answers" },
};

/**
 * @param {Decision} decision
 * @returns {{title: string, detail: string}}
 */
export function described({ decision, reason, afterMs, finished, text }) {
  const title = TITLES[decision] ?? decision;
  if (text) return { title, detail: `“${text}”` };
  if (decision === "turn_ended") return { title, detail: endOfTurn(reason, afterMs, finished) };
  const why = REASONS[decision]?.[reason] ?? reason.replaceAll("_", " ");
  return { title, detail: afterMs === null ? why : `${why}, ${afterMs} ms of it` };
}

/**
 * @param {string} reason
 * @param {number | null} afterMs
 * @param {number | null} finished
 */
function endOfTurn(reason, afterMs, finished) {
  if (reason === "too_long") return "longer than a turn may be";
  const silence = afterMs === null ? "silence" : `${afterMs} ms of silence`;
  return finished === null ? silence : `${silence}, ${Math.round(finished * 100)} % finished`;
}
