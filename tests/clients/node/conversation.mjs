/**
 * Holds one conversation with the stock agents SDK and prints, as JSON, what came of it.
 *
 *     node conversation.mjs ws://host/v1/realtime text|spoken|barge_in|tool [question.pcm [interruption.pcm]]
 *
 * Audio files are PCM16 at 24 kHz.
 */

import { readFile } from "node:fs/promises";

import { RealtimeAgent, RealtimeSession, tool } from "@openai/agents-realtime";
import { z } from "zod";

// not exported: whether the SDK can read an event, or drops it as one it does not know
import { parseRealtimeEvent } from "./node_modules/@openai/agents-realtime/dist/openaiRealtimeEvents.mjs";

const FRAME_MS = 20;
const FRAME_BYTES = 48 * FRAME_MS;
const PATIENCE_MS = 20_000;

const [url, scenario, ...files] = process.argv.slice(2);

class Conversation {
  constructor(agent) {
    this.session = new RealtimeSession(agent, { transport: "websocket", model: "gpt-realtime" });
    this.startedMs = performance.now();
    this.events = [];
    this.problems = [];
    this.interruptions = [];
    this.audio = new Map();
    this.said = [];
    this.watchers = new Set();
    this.session.on("error", (error) => this.problems.push(`error event: ${JSON.stringify(error)}`));
    this.session.on("audio", ({ responseId, data }) => {
      this.audio.set(responseId, (this.audio.get(responseId) ?? 0) + data.byteLength);
    });
    this.session.on("audio_interrupted", () => this.interruptions.push(this.events.length));
    this.session.transport.on("*", (event) => this.#take(event));
  }

  #take(event) {
    // the SDK reports what it sends as well
    if (typeof event.event_id !== "string" || !event.event_id.startsWith("event_")) return;
    if (parseRealtimeEvent({ data: JSON.stringify(event) }).isGeneric) {
      this.problems.push(`an event the SDK cannot read: ${JSON.stringify(event).slice(0, 500)}`);
    }
    const kept = event.type === "response.output_audio.delta" ? { ...event, delta: "" } : event;
    this.events.push({ ...kept, at_ms: Math.round(performance.now() - this.startedMs) });
    for (const watcher of this.watchers) watcher();
  }

  connect() {
    return this.session.connect({ apiKey: "none needed", url });
  }

  /** The `count`-th event of a type. */
  until(type, count = 1) {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this.events.filter((event) => event.type === type)[count - 1];
        if (found) settle(resolve, found);
      };
      const settle = (end, value) => {
        clearTimeout(timer);
        this.watchers.delete(look);
        end(value);
      };
      const timer = setTimeout(() => {
        const seen = this.events.slice(-10).map((event) => event.type);
        settle(reject, new Error(`no ${type} (${count}) in time; last: ${seen}`));
      }, PATIENCE_MS);
      this.watchers.add(look);
      look();
    });
  }

  /** The microphone runs all the time; `say` puts speech into it. */
  startMicrophone() {
    const silence = new Uint8Array(FRAME_BYTES);
    let dueMs = performance.now();
    this.microphone = setInterval(() => {
      for (; dueMs <= performance.now(); dueMs += FRAME_MS) {
        const frame = this.said.shift() ?? silence;
        this.session.sendAudio(frame.slice().buffer);
      }
    }, FRAME_MS / 2);
  }

  async say(file) {
    const pcm = await readFile(file);
    for (let at = 0; at + FRAME_BYTES <= pcm.length; at += FRAME_BYTES) {
      this.said.push(new Uint8Array(pcm.subarray(at, at + FRAME_BYTES)));
    }
  }

  end() {
    clearInterval(this.microphone);
    this.session.close();
    return {
      events: this.events,
      problems: this.problems,
      history: this.session.history,
      interruptions: this.interruptions,
      audioBytes: Object.fromEntries(this.audio),
    };
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const SCENARIOS = {
  async text(talk) {
    talk.session.sendMessage("What time is it?");
    await talk.until("response.done");
  },

  async spoken(talk) {
    talk.startMicrophone();
    await talk.say(files[0]);
    await talk.until("response.done");
    await talk.until("conversation.item.retrieved");
  },

  async barge_in(talk) {
    talk.startMicrophone();
    await talk.say(files[0]);
    await talk.until("response.output_audio.delta");
    await pause(2500);
    await talk.say(files[1]);
    await talk.until("conversation.item.truncated");
    await talk.until("response.done", 2);
    // after the transcript of each utterance, and after the truncation
    await talk.until("conversation.item.retrieved", 3);
  },

  async tool(talk) {
    talk.session.sendMessage("Please switch on the lights.");
    await talk.until("response.done", 2);
  },
};

const lights = tool({
  name: "lights",
  description: "Switch the lights.",
  parameters: z.object({}),
  execute: async () => "the lights are on",
});

const agent = new RealtimeAgent({
  name: "Guide",
  instructions: "Be brief.",
  tools: scenario === "tool" ? [lights] : [],
});
const talk = new Conversation(agent);
try {
  await talk.connect();
  await talk.until("session.updated");
  await SCENARIOS[scenario](talk);
} catch (error) {
  talk.problems.push(String(error));
}
console.log(JSON.stringify(talk.end()));
