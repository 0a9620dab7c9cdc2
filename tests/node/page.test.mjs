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
