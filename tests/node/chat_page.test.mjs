// The page as a person uses it: served by a real `retort serve`, run in jsdom.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";

import { JSDOM, VirtualConsole } from "jsdom";

import { isIdle, skip, startServer, until } from "./server.mjs";

// Opens the page, with what jsdom lacks: media queries, modal dialogs, and a fetch that streams, with its realm's classes.
async function open(url) {
  const faults = [];
  const virtualConsole = new VirtualConsole().on("jsdomError", (error) => faults.push(error));
  const { window } = await JSDOM.fromURL(url, {
    runScripts: "dangerously",
    pretendToBeVisual: true,
    virtualConsole,
    beforeParse(window) {
      Object.assign(window, { AbortController, TextDecoderStream, TypeError });
      window.fetch = (path, options) => fetch(new URL(path, url), options);
      window.matchMedia = () => ({ matches: false });
      window.HTMLDialogElement.prototype.showModal = function () { this.open = true; };
    },
  });
  return { window, document: window.document, $: (selector) => window.document.querySelector(selector), faults };
}

// Types a message and sends it with the Enter key.
function ask({ window, $ }, message) {
  const box = $("#text");
  box.value = message;
  box.dispatchEvent(new window.Event("input", { bubbles: true }));
  assert.ok(!$("#send").disabled);
  box.dispatchEvent(new window.KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
  assert.equal(box.value, "");
}
// Fills in the settings and saves them.
function set({ window, $ }, values) {
  $("#settings").click();
  assert.ok($("#dialog").open);
  for (const [name, value] of Object.entries(values)) $(`#${name}`).value = value;
  $("#dialog").open = false;
  $("#dialog").returnValue = "save";
  $("#dialog").dispatchEvent(new window.Event("close"));
}
const bodies = ({ document }, role) => [...document.querySelectorAll(`.turn.${role} .body`)].map((body) => body.textContent);
const letters = (text) => text.replace(/\P{L}/gu, "");  // what Markdown does not change

describe("the chat page", { skip }, () => {
  let server, page;
  const answered = () => until(() => page.$("#stop").hidden, "the end of the answer");
  // What the API answers to the same messages.
  const answerTo = async (messages, max_tokens) => {
    const body = JSON.stringify({ messages, temperature: 0, max_tokens });
    const response = await fetch(`${server.url}/v1/chat/completions`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    return (await response.json()).choices[0].message.content;
  };
  before(async () => { server = await startServer(); });
  beforeEach(async () => {
    page = await open(server.url);
    set(page, { temperature: "0", max: "120" });
  });
  afterEach(() => {
    page.window.close();
    assert.deepEqual(page.faults, []);
  });
  after(() => server.stop());

  test("shows the model", async () => {
    await until(() => page.$("#model").className === "up", "the model's name");
    assert.equal(page.$("#model").textContent, "smollm2");
  });

  test("shows an answer while it is written, and asks the next question with all before it", async () => {
    const question = "Tell me in a few sentences what the sea is like.";
    const shown = new Set();
    const watch = new page.window.MutationObserver(() => {
      const text = page.$(".turn.assistant.working .body")?.textContent;
      if (text) shown.add(text);
    });
    watch.observe(page.$("#turns"), { childList: true, subtree: true });
    ask(page, question);
    assert.deepEqual(bodies(page, "user"), [question]);
    assert.ok(page.$("#send").hidden && !page.$("#stop").hidden && page.$("#hello").hidden);
    await answered();
    assert.ok(shown.size > 1, "it appeared all at once");
    const messages = [{ role: "user", content: question }];
    const first = await answerTo(messages, 120);
    assert.equal(letters(bodies(page, "assistant")[0]), letters(first));
    assert.match(page.$(".foot").textContent, /^\d+ tokens · [\d.]+ tokens\/s/);
    assert.equal(page.$("#chats li.current .open").textContent, question);

    ask(page, "And the sky?");
    await answered();
    messages.push({ role: "assistant", content: first }, { role: "user", content: "And the sky?" });
    assert.equal(letters(bodies(page, "assistant")[1]), letters(await answerTo(messages, 120)));
    assert.equal(page.$(".error"), null);
  });

  test("stops an answer, and keeps what has come", async () => {
    set(page, { max: "" });
    ask(page, "Write a long story about the sea.");
    const shown = () => letters(bodies(page, "assistant")[0] ?? "");  // a list's number by itself shows no text
    await until(shown, "the answer's beginning");
    const beginning = shown();
    page.$("#stop").click();
    await answered();
    assert.equal(page.$(".foot").textContent, "stopped");
    assert.ok(shown().startsWith(beginning), `${shown()} does not begin with ${beginning}`);
    assert.equal(page.$(".error"), null);
    assert.ok(!page.$("#send").hidden);
    await until(() => isIdle(server.url), "the end of the request");
  });

  test("shows the server's error, and does not ask that question again with the next", async () => {
    set(page, { temperature: "3" });
    ask(page, "Name three metals.");
    await answered();
    assert.match(page.$(".error").textContent, /temperature: expected a number from 0 to 2, got 3/);
    assert.ok(!page.$("#send").hidden);

    set(page, { temperature: "0", max: "20" });
    ask(page, "Name three colours.");
    await answered();
    assert.equal(letters(bodies(page, "assistant")[1]), letters(await answerTo([{ role: "user", content: "Name three colours." }], 20)));
  });

  test("says when the server has gone", async () => {
    await until(() => page.$("#model").className === "up", "the model's name");
    page.window.fetch = (path, options) => fetch(new URL(path, "http://127.0.0.1:9"), options);
    ask(page, "Is anybody there?");
    await answered();
    assert.match(page.$(".error").textContent, /cannot be reached/);
    await until(() => page.$("#model").className === "down", "the mark of a server that has gone");
  });
});
