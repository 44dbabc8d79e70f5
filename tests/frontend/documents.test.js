// @ts-check
/** The documents panel, what an answer rests on, and the tools in use, without a document to draw in. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { factsOf, listingOf, outcomeText, refusalBefore, sizeText } from "../../frontend/documents.js";
import { summaryText } from "../../frontend/evidence-view.js";
import { runText } from "../../frontend/tool-runs.js";
import { Conversation, connection } from "./conversation.js";

const PRICES = {
  object: "document",
  id: "prices.md",
  title: "Prices",
  path: "prices.md",
  size_bytes: 2048,
  passages: 1,
  removable: true,
  problem: "",
};

test("the server's list is checked, and what is no document is left out", () => {
  const listing = listingOf({ object: "list", data: [PRICES, { id: 3 }, null], uploads: { max_bytes: 1000 } });
  assert.equal(listing?.maxBytes, 1000);
  assert.deepEqual(
    listing?.documents.map(({ id, title, removable }) => [id, title, removable]),
    [["prices.md", "Prices", true]],
  );
});

test("a server that searches no documents has no panel", () => {
  for (const body of [null, {}, { data: [], uploads: null }, { data: [] }, { error: { message: "no" } }]) {
    assert.equal(listingOf(body), null);
  }
});

test("a file is refused before it is sent, with the reason", () => {
  assert.equal(refusalBefore({ name: "prices.MD", size: 10 }, 100), null);
  assert.match(refusalBefore({ name: "prices.exe", size: 10 }, 100) ?? "", /must end in one of .*\.pdf/);
  assert.match(refusalBefore({ name: "prices", size: 10 }, 100) ?? "", /must end in/);
  assert.equal(refusalBefore({ name: "prices.md", size: 0 }, 100), "It is empty.");
  assert.equal(
    refusalBefore({ name: "prices.pdf", size: 3 * 2 ** 20 }, 2 ** 20),
    "It is 3.0 MB large; at most 1.0 MB can be added.",
  );
  assert.equal(refusalBefore({ name: "prices.md", size: 10 }, null), "This server takes no documents.");
});

test("a document says how much of it is searched, or why nothing is", () => {
  const [prices] = listingOf({ data: [PRICES], uploads: {} })?.documents ?? [];
  assert.ok(prices);
  assert.equal(factsOf(prices), "prices.md, 2 kB, 1 passage");
  assert.equal(factsOf({ ...prices, passages: 0, problem: "is encrypted" }), "prices.md, not searched: is encrypted");
});

test("what became of an upload names every file that was refused", () => {
  assert.equal(outcomeText(["Prices"], []), "Added “Prices”. Ask about it.");
  assert.equal(
    outcomeText(["Prices", "Hours"], [{ name: "x.pdf", reason: "x.pdf is encrypted." }]),
    "Added 2 documents. Ask about them.\nNot added: x.pdf is encrypted.",
  );
  assert.equal(outcomeText([], [{ name: "x.md", reason: "It is empty." }]), "Not added: x.md. It is empty.");
  assert.equal(sizeText(999), "999 bytes");
});

test("an answer names the first document it rests on, and how many more", () => {
  const source = (/** @type {string} */ title) => ({ id: title, title, snippet: "", score: 1 });
  assert.equal(summaryText([source("Prices")]), "From Prices");
  assert.equal(summaryText([source("Prices"), source("Prices"), source("Hours")]), "From Prices and 1 more");
});

test("a tool is shown while it runs, when it is done, and when it failed", () => {
  const page = new Conversation();
  page.connect();
  page.feed({ type: "s2s.tool.started", call_id: "call_1", name: "order_status" });
  page.feed({ type: "s2s.tool.started", call_id: "call_1", name: "order_status" });
  const shown = () => page.state.tools.map(runText);
  assert.deepEqual(shown(), ["Using order status"]);
  page.feed({ type: "s2s.tool.started", call_id: "call_2", name: "cancel-order" });
  page.feed({ type: "s2s.tool.asked", call_id: "call_2", name: "cancel-order" });
  assert.deepEqual(shown(), ["Using order status", "Waiting for your consent: cancel order"]);
  page.feed({ type: "s2s.tool.finished", call_id: "call_1", name: "order_status", elapsed_ms: 1234 });
  page.feed({ type: "s2s.tool.failed", call_id: "call_2", name: "cancel-order", elapsed_ms: 10 });
  assert.deepEqual(shown(), ["Used order status, 1.2 s", "Cancel order failed"]);
});

test("a lost connection takes the tools under way with it", () => {
  const page = new Conversation();
  page.connect();
  page.feed({ type: "s2s.tool.started", call_id: "call_1", name: "search" });
  page.feed(connection("waiting", "lost"));
  assert.deepEqual(page.state.tools.map(runText), ["Search failed: the connection was lost"]);
});

test("an answer's tools are forgotten with the conversation, and only the newest are kept", () => {
  const page = new Conversation();
  page.connect();
  for (let at = 0; at < 60; at += 1) page.feed({ type: "s2s.tool.started", call_id: `call_${at}`, name: "search" });
  assert.equal(page.state.tools.length, 50);
  assert.equal(page.state.tools.at(-1)?.callId, "call_59");
  page.feed({ type: "page.conversation_cleared" });
  assert.deepEqual(page.state.tools, []);
});

test("a hand-over to a person is told", () => {
  const page = new Conversation();
  page.connect();
  page.feed({ type: "s2s.handover", reason: "asked for" });
  assert.match(page.state.notices[0]?.text ?? "", /person/);
});
