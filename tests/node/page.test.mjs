// What the chat page computes, without a browser: functions taken out of web/index.html by name.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const page = readFileSync(new URL("../../web/index.html", import.meta.url), "utf8");

function functionOf(name) {
  const source = page.match(new RegExp(`^function ${name}\\([\\s\\S]*?\n}$`, "m"));
  assert.ok(source, `the page has no function ${name}`);
  return new Function(`return ${source[0]}`)();
}

test("speed is that of the writing, and of the whole when all came at once", () => {
  const speed = functionOf("speed");
  assert.equal(speed(31, 3, 5), " · 10.0 tokens/s");
  assert.equal(speed(31, 0.001, 2), " · 15.5 tokens/s");
  assert.equal(speed(31, 0, 2), " · 15.5 tokens/s");
  assert.equal(speed(5, 0.2, 0.5), " · 20.0 tokens/s"); // short, and yet no burst
  assert.equal(speed(1, 0, 2), "");
});

// The page's part between two of its headings, on elements that only keep what is put in them.
function markdown(text) {
  const source = page.match(/^\/\/ ---- Markdown ----$([\s\S]*?)^\/\/ ---- /m)[1];
  const element = (tag, options = {}, ...childNodes) => ({
    tagName: tag.toUpperCase(),
    childNodes,
    append(...nodes) { childNodes.push(...nodes); },
    get firstChild() { return childNodes[0]; },
  });
  const parent = element("div");
  new Function("element", `${source}; return markdown;`)(element)(text, parent);
  return parent;
}
const shape = (node) => (typeof node === "string" ? node : `${node.tagName.toLowerCase()}(${node.childNodes.map(shape).join("")})`);

test("quotes and lists nest", () => {
  assert.equal(shape(markdown("> a\n>> b\n\n- c\n  1. d\n  > e")), "div(blockquote(p(a)blockquote(p(b)))ul(li(col(li(d))blockquote(p(e)))))");
});

test("what nests without end is shown as text", () => {
  for (const mark of [">", "> ", "- ", "1. ", "> - "]) {
    const shown = shape(markdown(`${mark.repeat(20000)}x\n\nnext`));
    assert.ok(shown.endsWith("p(next))"), mark);
    assert.ok(shown.includes(`${mark.repeat(1000)}x`), mark);
    assert.ok(shown.match(/\(/g).length < 100, mark);
  }
});
