// @ts-check
/**
 * What the player does, without audio context: a queue of items whose samples are counted as they are rendered.
 * Its count is the only truth about what was heard.
 */

/**
 * Buffered before an item begins, and before it goes on after it ran dry. Short, since the server sends ahead; more than
 * its first chunk (40 ms), since beginning with that alone often ran dry while the second was on its way.
 */
const START_MS = 60;
const RESUME_MS = 120;
/** Long enough to hide the click of a cut, too short to be heard as a fade. */
const FADE_MS = 5;
/** Ten minutes: beyond it the server is misbehaving, and memory is worth more than its audio. */
const MAX_QUEUED_MS = 600_000;
/** -72 dB: quieter samples do not count as audible. */
const AUDIBLE = 2.5e-4;

/**
 * @typedef {object} QueuedItem
 * @property {string} itemId
 * @property {Float32Array[]} chunks
 * @property {number} offset samples of `chunks[0]` already rendered
 * @property {number} played samples rendered
 * @property {number} queued samples still to be rendered
 * @property {boolean} finished no more samples will follow
 * @property {boolean} started
 */

/** @typedef {{itemId: string, playedSamples: number, droppedSamples: number}} FlushedItem */

/**
 * @typedef {{type: "started", itemId: string}
 *   | {type: "underrun", itemId: string, playedSamples: number}
 *   | {type: "ended", itemId: string, playedSamples: number}} QueueEvent
 */

export class PlaybackQueue {
  /** @param {number} rateHz */
  constructor(rateHz) {
    this.rateHz = rateHz;
    /** @type {QueuedItem[]} */
    this.items = [];
    /** @type {QueueEvent[]} since the last `takeEvents` */
    this.events = [];
    this.queuedSamples = 0;
    /** Samples rendered since the start, fades included; `audibleSamples` of them were not silence. */
    this.renderedSamples = 0;
    this.audibleSamples = 0;
    this.starved = true;
    this.resuming = false;
    this.paused = false;
    this.lastValue = 0;
    this.gain = 1;
    this.targetGain = 1;
    this.gainStep = 0;
    this.tail = new Float32Array(Math.round((rateHz * FADE_MS) / 1000));
    /** Samples of `tail` still to be rendered. */
    this.tailLeft = 0;
    this.sumOfSquares = 0;
    this.levelSamples = 0;
  }

  /**
   * @param {string} itemId
   * @param {Float32Array} samples
   * @returns {boolean} false when the queue is full and the samples were refused
   */
  append(itemId, samples) {
    if (((this.queuedSamples + samples.length) * 1000) / this.rateHz > MAX_QUEUED_MS) return false;
    const item = this.#itemFor(itemId);
    if (samples.length > 0) item.chunks.push(samples);
    item.queued += samples.length;
    this.queuedSamples += samples.length;
    return true;
  }

  /**
   * No more samples will follow for this item.
   * @param {string} itemId
   */
  finish(itemId) {
    const item = this.items.find((one) => one.itemId === itemId);
    if (item) item.finished = true;
  }

  /**
   * @param {number} gain 0 to 1
   * @param {number} rampMs
   */
  setGain(gain, rampMs) {
    this.targetGain = gain;
    const samples = Math.max(1, (rampMs * this.rateHz) / 1000);
    this.gainStep = (gain - this.gain) / samples;
  }

  /**
   * Fall silent at the sample and keep the rest. The fade out is a copy: what it lets through is played again.
   * @returns {{itemId: string, playedSamples: number} | null} where it stopped; null when nothing was playing
   */
  pause() {
    if (this.paused) return null;
    this.paused = true;
    const head = this.items[0];
    if (!head || !head.started) return null;
    if (!this.starved) this.tailLeft = this.#fadeCopy(head);
    return { itemId: head.itemId, playedSamples: head.played };
  }

  /** Play on from the sample where it was paused, at full volume. */
  resume() {
    if (!this.paused) return;
    this.paused = false;
    this.gain = 0;
    this.setGain(1, FADE_MS);
  }

  /**
   * Drop everything at once. What is sounding is faded out over `FADE_MS`, and that fade counts as played.
   * @returns {FlushedItem[]}
   */
  flush() {
    const head = this.items[0];
    if (head && head.started && !this.starved && !this.paused) this.#fadeOut(head);
    this.paused = false;
    const flushed = this.items.map((item) => ({
      itemId: item.itemId,
      playedSamples: item.played,
      droppedSamples: item.queued,
    }));
    this.items = [];
    this.queuedSamples = 0;
    this.starved = true;
    this.resuming = false;
    this.gain = 1;
    this.targetGain = 1;
    this.gainStep = 0;
    return flushed;
  }

  /**
   * Fill one block. Allocates nothing while it plays.
   * @param {Float32Array} output
   */
  render(output) {
    let filled = this.#renderTail(output);
    while (filled < output.length && !this.paused) {
      const item = this.#nextItem();
      if (!item) break;
      filled += this.#copyFrom(item, output, filled);
    }
    if (filled < output.length) {
      output.fill(0, filled);
      if (this.tailLeft > 0) this.#renderTail(output.subarray(filled));
    }
    this.levelSamples += output.length;
  }

  /** @returns {{itemId: string, playedSamples: number, queuedSamples: number} | null} what is playing now */
  position() {
    const head = this.items[0];
    if (!head || !head.started) return null;
    return { itemId: head.itemId, playedSamples: head.played, queuedSamples: head.queued };
  }

  /** @returns {number} RMS since the last call */
  takeRms() {
    const rms = this.levelSamples === 0 ? 0 : Math.sqrt(this.sumOfSquares / this.levelSamples);
    this.sumOfSquares = 0;
    this.levelSamples = 0;
    return rms;
  }

  /** @returns {QueueEvent[]} */
  takeEvents() {
    const events = this.events;
    if (events.length > 0) this.events = [];
    return events;
  }

  /** @param {string} itemId */
  #itemFor(itemId) {
    let item = this.items.find((one) => one.itemId === itemId);
    if (!item) {
      item = { itemId, chunks: [], offset: 0, played: 0, queued: 0, finished: false, started: false };
      this.items.push(item);
    }
    return item;
  }

  /** @returns {QueuedItem | null} the item to render from; null while there is nothing, or not enough yet */
  #nextItem() {
    for (;;) {
      const item = this.items[0];
      if (!item) {
        this.starved = true;
        return null;
      }
      if (item.queued > 0) return this.#mayPlay(item) ? item : null;
      if (!item.finished) {
        this.#starve(item);
        return null;
      }
      this.items.shift();
      this.events.push({ type: "ended", itemId: item.itemId, playedSamples: item.played });
    }
  }

  /** @param {QueuedItem} item that has samples */
  #mayPlay(item) {
    if (!this.starved) return true;
    const neededMs = this.resuming ? RESUME_MS : START_MS;
    if (!item.finished && (item.queued * 1000) / this.rateHz < neededMs) return false;
    if (this.resuming) {
      // the waveform comes back in its middle: fade it in
      const gain = this.targetGain;
      this.gain = 0;
      this.setGain(gain, FADE_MS);
    }
    this.starved = false;
    this.resuming = false;
    return true;
  }

  /**
   * @param {QueuedItem} item
   * @param {Float32Array} output
   * @param {number} from first index of `output` to fill
   * @returns {number} samples rendered
   */
  #copyFrom(item, output, from) {
    if (!item.started) {
      item.started = true;
      this.events.push({ type: "started", itemId: item.itemId });
    }
    let filled = from;
    while (filled < output.length && item.queued > 0) {
      const chunk = /** @type {Float32Array} */ (item.chunks[0]);
      const count = Math.min(output.length - filled, chunk.length - item.offset);
      for (let i = 0; i < count; i += 1) {
        const value = /** @type {number} */ (chunk[item.offset + i]) * this.#nextGain();
        output[filled + i] = value;
        this.#count(value);
      }
      filled += count;
      item.offset += count;
      item.played += count;
      item.queued -= count;
      this.queuedSamples -= count;
      if (item.offset === chunk.length) {
        item.chunks.shift();
        item.offset = 0;
      }
    }
    return filled - from;
  }

  /** @param {QueuedItem} item of which more is expected */
  #starve(item) {
    if (this.starved) return;
    this.starved = true;
    if (!item.started) return;
    this.resuming = true;
    this.events.push({ type: "underrun", itemId: item.itemId, playedSamples: item.played });
    for (let i = 0; i < this.tail.length; i += 1) this.tail[i] = this.lastValue * (1 - (i + 1) / this.tail.length);
    this.tailLeft = this.tail.length;
  }

  /** @param {QueuedItem} head */
  #fadeOut(head) {
    const count = this.#fadeCopy(head);
    this.tailLeft = count;
    head.played += count;
    head.queued -= count;
  }

  /**
   * The next samples, fading, as the end of `tail`.
   * @param {QueuedItem} head
   * @returns {number} how many
   */
  #fadeCopy(head) {
    const count = Math.min(this.tail.length, head.queued);
    let copied = 0;
    for (const chunk of head.chunks) {
      const start = copied === 0 ? head.offset : 0;
      for (let i = start; i < chunk.length && copied < count; i += 1) {
        this.tail[this.tail.length - count + copied] =
          /** @type {number} */ (chunk[i]) * this.#nextGain() * (1 - (copied + 1) / count);
        copied += 1;
      }
      if (copied === count) break;
    }
    return count;
  }

  /**
   * @param {Float32Array} output
   * @returns {number} samples rendered
   */
  #renderTail(output) {
    const count = Math.min(this.tailLeft, output.length);
    const start = this.tail.length - this.tailLeft;
    for (let i = 0; i < count; i += 1) {
      const value = /** @type {number} */ (this.tail[start + i]);
      output[i] = value;
      this.#count(value);
    }
    this.tailLeft -= count;
    return count;
  }

  #nextGain() {
    if (this.gainStep !== 0) {
      this.gain += this.gainStep;
      if ((this.targetGain - this.gain) * this.gainStep <= 0) {
        this.gain = this.targetGain;
        this.gainStep = 0;
      }
    }
    return this.gain;
  }

  /** @param {number} value one rendered sample */
  #count(value) {
    this.lastValue = value;
    this.renderedSamples += 1;
    this.sumOfSquares += value * value;
    if (value > AUDIBLE || value < -AUDIBLE) this.audibleSamples += 1;
  }
}
