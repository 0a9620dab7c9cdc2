// The API with the official SDK for Node, against a real `retort serve`.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import OpenAI from "openai";

import { isIdle, skip, startServer, until } from "./server.mjs";

const messages = [{ role: "user", content: "Name three colours." }];
const greedy = { model: "smollm2", messages, max_tokens: 16, temperature: 0 };

describe("the OpenAI SDK", { skip }, () => {
  let server, url, client;
  before(async () => {
    server = await startServer();
    url = server.url;
    client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  });
  after(() => server.stop());

  const tools = [{
    type: "function",
    function: {
      name: "get_weather",
      parameters: { type: "object", properties: { city: { enum: ["Paris", "Oslo"] } }, required: ["city"], additionalProperties: false },
    },
  }];
  const demand = { ...greedy, max_tokens: 100, tools, tool_choice: "required", parallel_tool_calls: false };

  test("calls a tool, whole and streamed", async () => {
    const whole = await client.chat.completions.create(demand);
    const [call] = whole.choices[0].message.tool_calls;
    assert.equal(whole.choices[0].finish_reason, "tool_calls");
    assert.equal(whole.choices[0].message.content, null);
    assert.ok(["Paris", "Oslo"].includes(JSON.parse(call.function.arguments).city));
    const final = await client.chat.completions.stream(demand).finalChatCompletion();
    assert.deepEqual(final.choices[0].message.tool_calls.map((one) => one.function.arguments), [call.function.arguments]);
    assert.equal(final.choices[0].message.tool_calls[0].function.name, "get_weather");
  });

  test("runs tools until the model answers", async () => {
    const asked = [];
    const runner = client.chat.completions.runTools({
      ...greedy,
      tool_choice: { type: "function", function: { name: "get_weather" } },
      parallel_tool_calls: false,
      max_tokens: 100,
      tools: [{ type: "function", function: { ...tools[0].function, parse: JSON.parse, function: ({ city }) => { asked.push(city); return "Sunny"; } } }],
    }, { maxChatCompletions: 1 });
    await runner.done();
    assert.equal(asked.length, 1);
  });

  test("lists the model", async () => {
    const ids = [];
    for await (const one of client.models.list()) ids.push(one.id);
    assert.deepEqual(ids, ["smollm2"]);
    assert.equal((await client.models.retrieve("smollm2")).object, "model");
  });

  test("makes responses, whole and by the stream helper alike", async () => {
    const asked = { model: "smollm2", input: "Say hello.", temperature: 0, max_output_tokens: 400 };
    const whole = await client.responses.create(asked);
    assert.equal(whole.status, "completed");
    let text = "";
    const stream = client.responses.stream(asked).on("response.output_text.delta", (event) => (text += event.delta));
    const last = await stream.finalResponse();
    assert.equal(text, whole.output_text);
    assert.equal(last.output_text, text);
    const next = await client.responses.create({ ...asked, input: "And goodbye.", previous_response_id: last.id });
    assert.ok(next.usage.input_tokens > whole.usage.input_tokens);
    assert.equal((await client.responses.cancel(last.id)).status, "completed");
    await client.responses.delete(last.id);
    await assert.rejects(client.responses.retrieve(last.id), OpenAI.NotFoundError);
  });

  test("gives embeddings", async () => {
    const { data } = await client.embeddings.create({ model: "smollm2", input: ["a", "b"] });
    assert.equal(data.length, 2);
    assert.ok(Math.abs(data[1].embedding.reduce((sum, x) => sum + x * x, 0) - 1) < 1e-4);
  });

  test("chats, whole and streamed alike", async () => {
    const whole = await client.chat.completions.create(greedy);
    assert.equal(whole.choices[0].message.role, "assistant");
    let text = "", usage = null;
    const stream = await client.chat.completions.create({ ...greedy, stream: true, stream_options: { include_usage: true } });
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta?.content ?? "";
      usage = chunk.usage ?? usage;
    }
    assert.equal(text, whole.choices[0].message.content);
    assert.deepEqual(usage.completion_tokens, whole.usage.completion_tokens);
  });

  test("its stream helper sees role, content and end", async () => {
    const runner = client.chat.completions.stream(greedy);
    const deltas = [];
    runner.on("content", (delta) => deltas.push(delta));
    const final = await runner.finalChatCompletion();
    assert.equal(final.choices[0].message.content, deltas.join(""));
    assert.equal(final.choices[0].message.role, "assistant");
    assert.match(final.choices[0].finish_reason, /^(stop|length)$/);
  });

  test("completes text", async () => {
    const options = { model: "smollm2", prompt: "The quick brown fox", max_tokens: 8, temperature: 0 };
    const whole = await client.completions.create(options);
    let text = "";
    for await (const chunk of await client.completions.create({ ...options, stream: true })) text += chunk.choices[0].text;
    assert.equal(text, whole.choices[0].text);
  });

  test("raises its own errors", async () => {
    await assert.rejects(client.chat.completions.create({ ...greedy, temperature: 3 }), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.equal(error.param, "temperature");
      assert.ok(error.requestID);
      return /temperature: expected a number from 0 to 2, got 3/.test(error.message);
    });
    await assert.rejects(client.chat.completions.create({ ...greedy, model: "other" }), OpenAI.NotFoundError);
  });

  test("an aborted stream ends the request", async () => {
    const stream = await client.chat.completions.create({ ...greedy, stream: true, max_tokens: 1000, ignore_eos: true });
    for await (const chunk of stream) if (chunk.choices[0].delta.content) break;
    await until(() => isIdle(url), "the end of the request");
  });

  test("several at once are each answered as alone", async () => {
    const ask = async (number) => {
      const body = { ...greedy, messages: [{ role: "user", content: `Write a line about the number ${number}.` }] };
      return (await client.chat.completions.create(body)).choices[0].message.content;
    };
    const numbers = [1, 2, 3, 4, 5];
    const alone = [];
    for (const number of numbers) alone.push(await ask(number));
    assert.deepEqual(await Promise.all(numbers.map(ask)), alone);
  });
});
