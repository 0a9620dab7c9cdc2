// A real `retort serve` for a test. RETORT_BINARY and RETORT_TEST_MODEL choose another program and another model.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

const repo = resolve(import.meta.dirname, "../..");
const binary = process.env.RETORT_BINARY ?? join(repo, "build/release/retort");
const cache = process.env.RETORT_CACHE ?? join(homedir(), ".cache/retort");
const model = process.env.RETORT_TEST_MODEL ?? join(cache, "models/smollm2-135m-instruct-q4_1.gguf");

export const skip = !existsSync(model) && `${model} is missing: scripts/fetch_model.py smollm2-135m fetches it`;

export async function startServer() {
  const child = spawn(binary, ["serve", model, "--port", "0", "--served-model-name", "smollm2"], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  const url = await new Promise((done, failed) => {
    child.stderr.setEncoding("utf8").on("data", (text) => {
      log += text;
      const found = log.match(/Retort is ready at (http:\/\/\S+)/);
      if (found) done(found[1]);
    });
    child.on("exit", () => failed(new Error(`the server ended before it was ready:\n${log}`)));
  });
  const stop = async () => {
    child.kill("SIGTERM");
    const [code] = await once(child, "exit");
    assert.equal(code, 0);
  };
  return { url, stop };
}

// Waits until the condition, which may be asynchronous, holds.
export async function until(condition, what) {
  for (const end = Date.now() + 120_000; !(await condition());) {
    assert.ok(Date.now() < end, `never came: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}
export const isIdle = async (url) => (await (await fetch(`${url}/load`)).json()).num_running === 0;
