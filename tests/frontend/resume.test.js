// @ts-check
import assert from "node:assert/strict";
import { test } from "node:test";

import { RealtimeClient } from "../../frontend/realtime.js";
import { Conversation, connection, position, started } from "./conversation.js";

/** @param {number} n microphone chunk of 20 ms, marked with its number */
function chunk(n) {
  const samples = new Int16Array(480);
  samples[0] = n;
  return samples.buffer;
}

/** @param {any} event */
function numberOf(event) {
  return Buffer.from(event.audio, "base64").readInt16LE();
}

function newClient() {
  /** @type {any[]} */
  const sockets = [];
  /** @type {any[]} */
  const events = [];
  /** @type {(() => void)[]} */
  const timers = [];
  const client = new RealtimeClient({
    url: "ws://host/v1/realtime",
    openSocket: (_url, protocols) => {
      /** @type {any} */
      const socket = {
        protocols,
        readyState: 0,
        bufferedAmount: 0,
        sent: [],
        send: (/** @type {string} */ data) => socket.sent.push(JSON.parse(data)),
        close: (/** @type {number} */ code) => (socket.closedWith = code),
        open: () => {
          socket.readyState = 1;
          socket.onopen({});
        },
        say: (/** @type {any} */ event) => socket.onmessage({ data: JSON.stringify(event) }),
        drop: (code = 1006) => {
          socket.readyState = 3;
          socket.onclose({ code });
        },
      };
      sockets.push(socket);
      return socket;
    },
    diagnose: async () => "unreachable",
    emit: (event) => events.push(event),
    nowMs: () => 0,
    schedule: (action) => timers.push(action),
    unschedule: () => {},
    random: () => 0.5,
  });
  client.connect("");
  sockets[0].open();
  sockets[0].say({ type: "session.created", session: {} });
  client.releaseHeldAudio();
  sockets[0].say({ type: "s2s.session.resumable", token: "secret", expires_in_s: 30 });
  const again = () => {
    timers.at(-1)?.();
    sockets.at(-1).open();
    return sockets.at(-1);
  };
  return { client, sockets, events, timers, again };
}

const RESUMED = { type: "s2s.session.resumed", items: [], items_left_out: 0, heard_chars: {}, spoken_item_id: null };

test("the token goes along when the socket is lost, and nowhere else", () => {
  const { client, sockets, events, again } = newClient();
  assert.deepEqual(sockets[0].protocols, ["realtime"]);
  sockets[0].drop();
  assert.deepEqual(again().protocols, ["realtime", "s2s-resume.secret"]);
  assert.ok(!JSON.stringify(events).includes("secret"));
  client.close();
  client.connect("");
  assert.deepEqual(sockets.at(-1).protocols, ["realtime"]);
});

test("an attempt that does not get through does not use the token up", async () => {
  const { sockets, timers } = newClient();
  sockets[0].drop();
  timers.at(-1)?.();
  sockets[1].drop();
  await Promise.resolve();
  await Promise.resolve();
  timers.at(-1)?.();
  assert.deepEqual(sockets[2].protocols, ["realtime", "s2s-resume.secret"]);
});

test("what the server did not get of the microphone is sent again, and what was said meanwhile", () => {
  const { client, sockets, again } = newClient();
  for (let n = 0; n < 10; n += 1) client.appendAudio(chunk(n));
  sockets[0].drop();
  for (let n = 10; n < 15; n += 1) client.appendAudio(chunk(n));
  const socket = again();
  client.appendAudio(chunk(15));
  assert.deepEqual(socket.sent, [], "nothing before the server has said from where");
  socket.say({ type: "session.updated", session: {} });
  socket.say({ ...RESUMED, input_audio_ms: 140 });
  assert.deepEqual(socket.sent.map(numberOf), [7, 8, 9, 10, 11, 12, 13, 14, 15]);
  client.appendAudio(chunk(16));
  assert.equal(numberOf(socket.sent.at(-1)), 16);
});

test("the positions still fit after the second loss", () => {
  const { client, sockets, again } = newClient();
  for (let n = 0; n < 300; n += 1) client.appendAudio(chunk(n));
  sockets[0].drop();
  for (let n = 300; n < 500; n += 1) client.appendAudio(chunk(n));
  let socket = again();
  socket.say({ ...RESUMED, input_audio_ms: 6000 });
  assert.deepEqual([socket.sent.length, numberOf(socket.sent[0])], [150, 350], "three seconds are kept");
  socket.say({ type: "s2s.session.resumable", token: "next", expires_in_s: 30 });
  socket.drop();
  socket = again();
  assert.deepEqual(socket.protocols, ["realtime", "s2s-resume.next"]);
  socket.say({ ...RESUMED, input_audio_ms: 6000 + 145 * 20 });
  assert.deepEqual(socket.sent.map(numberOf), [495, 496, 497, 498, 499]);
});

test("a refused token begins a new session at once, and says so", () => {
  const { client, sockets, events, again } = newClient();
  client.appendAudio(chunk(1));
  sockets[0].drop();
  client.appendAudio(chunk(2));
  again().drop(4404);
  assert.equal(sockets.length, 3);
  assert.deepEqual(sockets[2].protocols, ["realtime"]);
  assert.equal(events.filter((event) => event.type === "page.notice").length, 1);
  sockets[2].open();
  sockets[2].say({ type: "session.created", session: {} });
  client.releaseHeldAudio();
  assert.deepEqual(sockets[2].sent.map(numberOf), [2], "what the lost session had is not said twice");
});

test("a socket that is given up is not closed as a goodbye, a conversation that ends is", () => {
  const { client, sockets, again } = newClient();
  sockets[0].bufferedAmount = 2_000_000;
  client.appendAudio(chunk(1));
  assert.equal(sockets[0].closedWith, 4001);
  const socket = again();
  client.close();
  assert.equal(socket.closedWith, 1000);
});

/** @param {Partial<import("../../frontend/events.js").SessionResumed>} told */
function resumed(told) {
  return { ...RESUMED, input_audio_ms: 0, ...told };
}

test("the server is told how far the answer was heard, once the player knows", () => {
  const page = new Conversation();
  page.connect();
  page.answer("one two three four", { done: false });
  page.feed(started, position(200), connection("waiting", "lost"));
  const session = { id: "sess_1", audio: { input: { turn_detection: null } } };
  const back = page.feed({ type: "session.updated", session }, resumed({ spoken_item_id: "item_a" }));
  assert.deepEqual(back, [], "it still plays what it had");
  const [report] = page.feed({ type: "page.player.ended", item_id: "item_a", played_ms: 400 });
  assert.deepEqual(report, {
    kind: "send",
    event: { type: "s2s.playback.updated", item_id: "item_a", audio_played_ms: 400, ended: true },
  });
});

test("a player that was through before is told of at once, and a message the page never got as unheard", () => {
  const page = new Conversation();
  page.connect();
  page.answer("one two three four", { done: false });
  page.feed(started, connection("waiting", "lost"), { type: "page.player.ended", item_id: "item_a", played_ms: 400 });
  const reported = (/** @type {string} */ id) =>
    page.feed(resumed({ spoken_item_id: id, items_left_out: 1 })).flatMap((command) =>
      command.kind === "send" ? [[command.event.item_id, command.event.audio_played_ms]] : [],
    );
  assert.deepEqual(reported("item_a"), [["item_a", 400]]);
  assert.deepEqual(reported("item_b"), [["item_b", 0]]);
});

test("the transcript stays; what the server lost goes, what the page missed comes", () => {
  const page = new Conversation();
  page.connect();
  page.answer("one two three four", { done: false });
  page.feed({ type: "s2s.input_transcript.updated", item_id: "item_lost", text: "half", stable_chars: 4 });
  page.feed(started, position(200), connection("waiting", "lost"));
  page.feed(
    resumed({
      items: [
        { id: "item_a", type: "message", role: "assistant", content: [{ type: "output_audio", transcript: "one two" }] },
        { id: "item_u", type: "message", role: "user", content: [{ type: "input_audio", transcript: "Well?" }] },
      ],
      heard_chars: { item_a: 3 },
    }),
  );
  assert.deepEqual(
    page.state.items.map((item) => [item.id, item.text]),
    [
      ["item_a", "one two"],
      ["item_u", "Well?"],
    ],
  );
  assert.equal(page.item("item_a").heardChars, 3);
});

test("a paused player does not wait for a server that is gone", () => {
  const page = new Conversation();
  page.connect();
  page.answer("one two three four", { done: false });
  page.feed(started, position(200), { type: "s2s.playback.pause", fade_ms: 20 });
  const commands = page.feed(connection("waiting", "lost")).map((command) => command.kind);
  assert.deepEqual(commands, ["resume", "finish"]);
  assert.equal(page.state.playback.paused, false);
});
