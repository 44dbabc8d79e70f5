// @ts-check
/** The page works under a strict content security policy and asks nobody else for anything. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const ROOT = new URL("../../frontend/", import.meta.url);
const HTML = readFileSync(new URL("index.html", ROOT), "utf8");

/** @param {RegExp} names */
function sources(names) {
  return ["", "worklets/"].flatMap((folder) =>
    readdirSync(new URL(folder || ".", ROOT))
      .filter((name) => names.test(name))
      .map((name) => ({ name, text: readFileSync(new URL(folder + name, ROOT), "utf8") })),
  );
}

test("no inline script, style or handler", () => {
  assert.doesNotMatch(HTML, /<style|<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=/i);
  assert.match(HTML, /Content-Security-Policy" content="default-src 'self'/);
});

test("no request leaves the server's own origin", () => {
  for (const { name, text } of [{ name: "index.html", text: HTML }, ...sources(/\.(js|css|svg)$/)]) {
    const foreign = text.replaceAll("http://www.w3.org/2000/svg", "").match(/(?:https?|wss?):\/\/\w|url\(|@import/g);
    assert.equal(foreign, null, `${name} names ${foreign}`);
  }
});

test("every element a module asks for by id is there, once", () => {
  const ids = [...HTML.matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]);
  assert.equal(new Set(ids).size, ids.length);
  for (const { name, text } of sources(/\.js$/)) {
    for (const [, id] of text.matchAll(/byId\("([^"]+)"/g)) assert.ok(ids.includes(id), `${name}: ${id}`);
  }
  for (const [, icon] of HTML.matchAll(/href="#([^"]+)"/g)) assert.ok(ids.includes(icon), icon);
});

test("every control has a name", () => {
  const labelled = new Set([...HTML.matchAll(/<label[^>]*\sfor="([^"]+)"/g)].map((match) => match[1]));
  for (const [tag] of HTML.matchAll(/<(?:input|select|textarea)\b[^>]*>/g)) {
    if (/type="radio"/.test(tag)) continue;
    const id = /\sid="([^"]+)"/.exec(tag)?.[1];
    assert.ok(id && labelled.has(id), tag);
  }
});
