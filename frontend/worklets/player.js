// @ts-check
/** Plays items and reports, in samples, how far it got. */

import { PlaybackQueue } from "./queue.js";

/** Blocks of 128 samples between two level reports and two position reports: about 27 and 53 ms at 24 kHz. */
const LEVEL_BLOCKS = 5;
const POSITION_BLOCKS = 10;

/**
 * @typedef {{type: "append", itemId: string, samples: Float32Array}
 *   | {type: "finish", itemId: string}
 *   | {type: "gain", gain: number, rampMs: number}
 *   | {type: "pause"}
 *   | {type: "resume"}
 *   | {type: "flush", id: number}} PlayerCommand
 */

/** @typedef {{renderedSamples: number, audibleSamples: number, lastAudibleTimeS: number}} PlayerCounts */

/**
 * @typedef {import("./queue.js").QueueEvent
 *   | {type: "position", itemId: string, playedSamples: number, queuedSamples: number}
 *   | {type: "level", rms: number, counts: PlayerCounts}
 *   | {type: "flushed", id: number, items: import("./queue.js").FlushedItem[]}
 *   | {type: "overflow", itemId: string}
 *   | {type: "paused", itemId: string, playedSamples: number}
 *   | {type: "rendered", samples: Float32Array}} PlayerReport
 */

class PlayerProcessor extends AudioWorkletProcessor {
  /** @param {AudioWorkletNodeOptions} options `processorOptions.record`: post every rendered block as well */
  constructor(options) {
    super();
    this.queue = new PlaybackQueue(sampleRate);
    this.record = options.processorOptions?.record === true;
    this.blocks = 0;
    this.lastAudibleTimeS = 0;
    this.port.onmessage = ({ data }) => this.#obey(data);
  }

  /** @param {PlayerCommand} command */
  #obey(command) {
    switch (command.type) {
      case "append":
        if (!this.queue.append(command.itemId, command.samples)) {
          this.#report({ type: "overflow", itemId: command.itemId });
        }
        break;
      case "finish":
        this.queue.finish(command.itemId);
        break;
      case "gain":
        this.queue.setGain(command.gain, command.rampMs);
        break;
      case "pause": {
        const position = this.queue.pause();
        if (position) this.#report({ type: "paused", ...position });
        break;
      }
      case "resume":
        this.queue.resume();
        break;
      case "flush":
        this.#report({ type: "flushed", id: command.id, items: this.queue.flush() });
        break;
    }
  }

  /** @param {PlayerReport} report */
  #report(report) {
    this.port.postMessage(report);
  }

  /**
   * @param {Float32Array[][]} _inputs
   * @param {Float32Array[][]} outputs
   */
  process(_inputs, outputs) {
    const channel = outputs[0]?.[0];
    if (!channel) return true;
    const audibleBefore = this.queue.audibleSamples;
    this.queue.render(channel);
    if (this.queue.audibleSamples > audibleBefore) this.lastAudibleTimeS = currentTime;
    for (const event of this.queue.takeEvents()) this.#report(event);
    if (this.record) this.#report({ type: "rendered", samples: channel.slice() });
    this.blocks += 1;
    if (this.blocks % POSITION_BLOCKS === 0) {
      const position = this.queue.position();
      if (position) this.#report({ type: "position", ...position });
    }
    if (this.blocks % LEVEL_BLOCKS === 0) {
      const { renderedSamples, audibleSamples } = this.queue;
      const counts = { renderedSamples, audibleSamples, lastAudibleTimeS: this.lastAudibleTimeS };
      this.#report({ type: "level", rms: this.queue.takeRms(), counts });
    }
    return true;
  }
}

registerProcessor("talkover-player", PlayerProcessor);
