// @ts-check
/** Loudspeaker and microphone: audio contexts and their worklets. The only module that touches the audio graph. */

import { int16FromBase64 } from "./base64.js";
import { int16ToFloat, levelOfRms } from "./worklets/pcm.js";
import { Resampler } from "./worklets/resampler.js";

/** @typedef {import("./events.js").AppEvent} AppEvent */
/** @typedef {import("./worklets/player.js").PlayerReport} PlayerReport */
/** @typedef {import("./worklets/player.js").PlayerCommand} PlayerCommand */
/** @typedef {import("./worklets/player.js").PlayerCounts} PlayerCounts */

const WIRE_RATE_HZ = 24_000;
/** A flush is answered within a block or two; a suspended context never answers. */
const FLUSH_PATIENCE_MS = 200;
/** What `?record=1` keeps of the rendered audio. */
const MAX_RECORDED_S = 180;

/** @param {string} name */
function workletUrl(name) {
  return new URL(`./worklets/${name}.js`, import.meta.url);
}

export class Player {
  /**
   * @param {AudioContext} context
   * @param {AudioWorkletNode} node
   * @param {(event: AppEvent) => void} emit
   * @param {(level: number) => void} onLevel 0 to 1
   */
  constructor(context, node, emit, onLevel) {
    this.context = context;
    this.node = node;
    this.emit = emit;
    this.onLevel = onLevel;
    /** @type {PlayerCounts} */
    this.counts = { renderedSamples: 0, audibleSamples: 0, lastAudibleTimeS: 0 };
    /** @type {Float32Array[]} with `record`: blocks rendered, oldest first */
    this.recorded = [];
    this.flushCount = 0;
    /** @type {Set<number>} flushes whose answer is awaited */
    this.awaitedFlushes = new Set();
    /** @type {{itemId: string, playedSamples: number, queuedSamples: number} | null} */
    this.lastPosition = null;
    /** @type {{itemId: string, resampler: Resampler} | null} only where the context does not run at the wire's rate */
    this.converter = null;
    node.port.onmessage = ({ data }) => this.#hear(data);
  }

  /**
   * Call it from a click: browsers let a page sound only then.
   * @param {{emit: (event: AppEvent) => void, onLevel: (level: number) => void, record: boolean}} options
   */
  static async create({ emit, onLevel, record }) {
    const context = new AudioContext({ sampleRate: WIRE_RATE_HZ, latencyHint: "interactive" });
    // not awaited: without a click it would never resolve
    void context.resume();
    await context.audioWorklet.addModule(workletUrl("player"));
    const node = new AudioWorkletNode(context, "talkover-player", {
      numberOfInputs: 0,
      outputChannelCount: [1],
      processorOptions: { record },
    });
    node.connect(context.destination);
    return new Player(context, node, emit, onLevel);
  }

  /** Browsers suspend a context when another app takes the sound; a click brings it back. */
  wake() {
    if (this.context.state !== "running") void this.context.resume();
  }

  /**
   * @param {string} itemId
   * @param {string} audio base64 PCM16 at 24 kHz
   */
  append(itemId, audio) {
    const samples = this.#toContextRate(itemId, int16ToFloat(int16FromBase64(audio)));
    this.#command({ type: "append", itemId, samples }, [/** @type {ArrayBuffer} */ (samples.buffer)]);
  }

  /** @param {string} itemId */
  finish(itemId) {
    if (this.converter?.itemId === itemId) {
      this.#command({ type: "append", itemId, samples: this.converter.resampler.flush() });
      this.converter = null;
    }
    this.#command({ type: "finish", itemId });
  }

  /**
   * @param {number} gain
   * @param {number} rampMs
   */
  setGain(gain, rampMs) {
    this.#command({ type: "gain", gain, rampMs });
  }

  /** Silence at the sample; `page.player.paused` follows, and `resume` plays on from there. */
  pause() {
    this.#command({ type: "pause" });
  }

  resume() {
    this.#command({ type: "resume" });
  }

  /** Silence at once; `page.player.flushed` follows with what had been played. */
  flush() {
    this.converter = null;
    this.flushCount += 1;
    const id = this.flushCount;
    this.awaitedFlushes.add(id);
    this.#command({ type: "flush", id });
    setTimeout(() => {
      const position = this.lastPosition;
      this.#flushed(id, position ? [{ ...position, droppedSamples: position.queuedSamples }] : []);
    }, FLUSH_PATIENCE_MS);
  }

  /** @returns {{rateHz: number, samples: Float32Array}} the last minutes of what was rendered, with `?record=1` */
  recording() {
    const samples = new Float32Array(this.recorded.reduce((sum, block) => sum + block.length, 0));
    let at = 0;
    for (const block of this.recorded) {
      samples.set(block, at);
      at += block.length;
    }
    return { rateHz: this.context.sampleRate, samples };
  }

  /**
   * @param {PlayerCommand} command
   * @param {Transferable[]} [transfer]
   */
  #command(command, transfer = []) {
    this.node.port.postMessage(command, transfer);
  }

  /** @param {number} samples */
  #ms(samples) {
    return (samples * 1000) / this.context.sampleRate;
  }

  /** @param {PlayerReport} report */
  #hear(report) {
    switch (report.type) {
      case "level":
        this.counts = report.counts;
        this.onLevel(levelOfRms(report.rms));
        break;
      case "rendered":
        this.recorded.push(report.samples);
        if (this.recorded.length * report.samples.length > MAX_RECORDED_S * this.context.sampleRate) {
          this.recorded.shift();
        }
        break;
      case "position": {
        this.lastPosition = report;
        const playedMs = this.#ms(report.playedSamples);
        // rendered is not yet heard: the device holds some of it
        const latencyMs = 1000 * (this.context.outputLatency || this.context.baseLatency || 0);
        const heardMs = Math.max(0, playedMs - latencyMs);
        this.emit({ type: "page.player.position", item_id: report.itemId, played_ms: playedMs, heard_ms: heardMs });
        break;
      }
      case "flushed":
        this.#flushed(report.id, report.items);
        break;
      case "started":
        this.emit({ type: "page.player.started", item_id: report.itemId });
        break;
      case "paused":
        this.emit({ type: "page.player.paused", item_id: report.itemId, played_ms: this.#ms(report.playedSamples) });
        break;
      case "overflow":
        this.emit({ type: "page.player.overflow", item_id: report.itemId });
        break;
      case "underrun":
      case "ended": {
        const playedMs = this.#ms(report.playedSamples);
        if (report.type === "ended") this.lastPosition = null;
        const type = report.type === "ended" ? "page.player.ended" : "page.player.underrun";
        this.emit({ type, item_id: report.itemId, played_ms: playedMs });
        break;
      }
    }
  }

  /**
   * @param {number} id
   * @param {import("./worklets/queue.js").FlushedItem[]} items
   */
  #flushed(id, items) {
    if (!this.awaitedFlushes.delete(id)) return;
    this.lastPosition = null;
    this.emit({
      type: "page.player.flushed",
      items: items.map((item) => ({
        item_id: item.itemId,
        played_ms: this.#ms(item.playedSamples),
        dropped_ms: this.#ms(item.droppedSamples),
      })),
    });
  }

  /**
   * @param {string} itemId
   * @param {Float32Array} samples at 24 kHz
   * @returns {Float32Array}
   */
  #toContextRate(itemId, samples) {
    if (this.context.sampleRate === WIRE_RATE_HZ) return samples;
    if (this.converter?.itemId !== itemId) {
      this.converter = { itemId, resampler: new Resampler(WIRE_RATE_HZ, this.context.sampleRate) };
    }
    return this.converter.resampler.process(samples);
  }
}

export class Microphone {
  /**
   * @param {MediaStream} stream
   * @param {AudioContext} context
   */
  constructor(stream, context) {
    this.stream = stream;
    this.context = context;
  }

  /**
   * Raises the DOMException of getUserMedia.
   * @param {object} options
   * @param {string} options.deviceId "" for the system's choice
   * @param {(pcm: ArrayBuffer) => void} options.onChunk 20 ms of PCM16 at 24 kHz, to be used before it returns
   * @param {(level: number) => void} options.onLevel 0 to 1
   * @param {() => void} options.onLost the device went away
   * @param {boolean} [options.natural] as the room sounds, without the filters that suit a conversation
   */
  static async open({ deviceId, onChunk, onLevel, onLost, natural = false }) {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: {
        ...(deviceId ? { deviceId: { ideal: deviceId } } : {}),
        channelCount: 1,
        echoCancellation: !natural,
        noiseSuppression: !natural,
        autoGainControl: !natural,
      },
    });
    const { context, source } = listen(stream);
    await context.audioWorklet.addModule(workletUrl("microphone"));
    const node = new AudioWorkletNode(context, "talkover-microphone", { outputChannelCount: [1] });
    node.port.onmessage = ({ data }) => {
      /** @type {import("./worklets/microphone.js").MicrophoneReport} */
      const report = data;
      onLevel(levelOfRms(report.rms));
      onChunk(report.pcm);
      node.port.postMessage(report.pcm, [report.pcm]);
    };
    // its output is silence; being connected is what keeps it running in every browser
    source.connect(node).connect(context.destination);
    for (const track of stream.getAudioTracks()) track.onended = onLost;
    void context.resume();
    return new Microphone(stream, context);
  }

  /** @param {boolean} muted muted tracks deliver silence, so the server's audio clock goes on */
  setMuted(muted) {
    for (const track of this.stream.getAudioTracks()) track.enabled = !muted;
  }

  close() {
    for (const track of this.stream.getTracks()) {
      track.onended = null;
      track.stop();
    }
    void this.context.close();
  }
}

/**
 * A context at the wire's rate where the browser converts by itself, else one at the device's.
 * @param {MediaStream} stream
 */
function listen(stream) {
  const context = new AudioContext({ sampleRate: WIRE_RATE_HZ, latencyHint: "interactive" });
  try {
    return { context, source: context.createMediaStreamSource(stream) };
  } catch {
    void context.close();
    const native = new AudioContext({ latencyHint: "interactive" });
    return { context: native, source: native.createMediaStreamSource(stream) };
  }
}

/** @returns {Promise<{id: string, label: string}[]>} microphones; nameless until one was allowed */
export async function microphones() {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices
    .filter((device) => device.kind === "audioinput" && device.deviceId !== "default")
    .map((device, index) => ({ id: device.deviceId, label: device.label || `Microphone ${index + 1}` }));
}
