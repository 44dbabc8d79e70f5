// @ts-check
/** Cuts the microphone into 20 ms of 24 kHz PCM16, whatever the rate and channel count of the device. */

import { floatToInt16 } from "./pcm.js";
import { Resampler } from "./resampler.js";

const WIRE_RATE_HZ = 24_000;
const CHUNK_SAMPLES = 480;
/** Buffers the page has handed back; more than this are left to the garbage collector. */
const MAX_SPARE_BUFFERS = 8;

/** @typedef {{type: "chunk", pcm: ArrayBuffer, rms: number}} MicrophoneReport */

class MicrophoneProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = sampleRate === WIRE_RATE_HZ ? null : new Resampler(sampleRate, WIRE_RATE_HZ);
    this.mono = new Float32Array(128);
    this.chunk = new Float32Array(CHUNK_SAMPLES);
    this.filled = 0;
    /** @type {ArrayBuffer[]} */
    this.spare = [];
    this.port.onmessage = ({ data }) => {
      if (this.spare.length < MAX_SPARE_BUFFERS) this.spare.push(data);
    };
  }

  /** @param {Float32Array[][]} inputs */
  process(inputs) {
    const channels = inputs[0] ?? [];
    const first = channels[0];
    if (!first) return true;
    const mono = channels.length === 1 ? first : this.#mix(channels, first.length);
    this.#collect(this.resampler ? this.resampler.process(mono) : mono);
    return true;
  }

  /**
   * @param {Float32Array[]} channels
   * @param {number} length
   */
  #mix(channels, length) {
    if (this.mono.length !== length) this.mono = new Float32Array(length);
    this.mono.fill(0);
    for (const channel of channels) {
      for (let i = 0; i < length; i += 1) {
        this.mono[i] = /** @type {number} */ (this.mono[i]) + /** @type {number} */ (channel[i]) / channels.length;
      }
    }
    return this.mono;
  }

  /** @param {Float32Array} samples at 24 kHz */
  #collect(samples) {
    for (let i = 0; i < samples.length; i += 1) {
      this.chunk[this.filled] = /** @type {number} */ (samples[i]);
      this.filled += 1;
      if (this.filled === CHUNK_SAMPLES) this.#post();
    }
  }

  #post() {
    this.filled = 0;
    let sumOfSquares = 0;
    for (const value of this.chunk) sumOfSquares += value * value;
    const pcm = this.spare.pop() ?? new ArrayBuffer(2 * CHUNK_SAMPLES);
    floatToInt16(this.chunk, new Int16Array(pcm));
    /** @type {MicrophoneReport} */
    const report = { type: "chunk", pcm, rms: Math.sqrt(sumOfSquares / CHUNK_SAMPLES) };
    this.port.postMessage(report, [pcm]);
  }
}

registerProcessor("talkover-microphone", MicrophoneProcessor);
