// The `openai` library for Node.

import assert from "node:assert/strict";
import { test } from "node:test";

import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const model = process.env.CLIENT_MODEL;
const { completions } = new OpenAI({ maxRetries: 0 }).chat;
const asked = (content, more = {}) => ({ model, messages: [{ role: "user", content }], ...more });
const City = z.object({ name: z.string(), people: z.number() });
const BERN = { name: "Bern", people: 134000 };
const json = `[[json ${JSON.stringify(BERN)}]]`;

test("completion", async () => {
  const reply = await completions.create(asked("[[say Good day.]]"));
  assert.equal(reply.choices[0].message.content, "Good day.");
  assert.equal(reply.usage.completion_tokens, 2);
});

test("stream", async () => {
  const texts = [];
  const stream = await completions.create(asked("[[deltas 5]]", { stream: true }));
  for await (const chunk of stream) texts.push(chunk.choices[0].delta.content ?? "");
  assert.equal(texts.join(""), "w1 w2 w3 w4 w5");
});

test("stream helper", async () => {
  const options = { stream_options: { include_usage: true } };
  const stream = completions.stream(asked("[[deltas 5]]", options));
  assert.equal(await stream.finalContent(), "w1 w2 w3 w4 w5");
  const { usage } = await stream.finalChatCompletion();
  assert.equal(usage.completion_tokens, 5);
});

test("models", async () => {
  const client = new OpenAI({ maxRetries: 0 });
  const ids = [];
  for await (const listed of client.models.list()) ids.push(listed.id);
  assert.ok(ids.length > 0);
  assert.equal((await client.models.retrieve(ids[0])).id, ids[0]);
});

test("errors", async () => {
  const ask = (content, more) => completions.create(asked(content, more));
  await assert.rejects(ask("x", { model: "gpt-nothing" }), OpenAI.NotFoundError);
  await assert.rejects(ask("x", { temperature: 9 }), OpenAI.BadRequestError);
  await assert.rejects(ask("[[error 429]]"), OpenAI.RateLimitError);
});

test("error in mid-stream", async () => {
  const stream = completions.stream(asked("[[deltas 9]] [[break 529]]"));
  await assert.rejects(stream.finalChatCompletion(), OpenAI.APIError);
});

test("parse", async () => {
  const response_format = zodResponseFormat(City, "city");
  const reply = await completions.parse(asked(json, { response_format }));
  assert.deepEqual(reply.choices[0].message.parsed, BERN);
});

test("parse of a stream", async () => {
  const response_format = zodResponseFormat(City, "city");
  const stream = completions.stream(asked(json, { response_format }));
  const final = await stream.finalChatCompletion();
  assert.deepEqual(final.choices[0].message.parsed, BERN);
});

for (const stream of [false, true]) {
  test(`functions run by the library, stream ${stream}`, async () => {
    const add = zodFunction({
      name: "add",
      parameters: z.object({ a: z.number(), b: z.number() }),
      function: ({ a, b }) => `The sum is ${a + b}.`,
    });
    const said = '[[tool add {"a": 3, "b": 4}]] [[result]]';
    const runner = completions.runTools(asked(said, { tools: [add], stream }));
    assert.equal(await runner.finalContent(), "The sum is 7.");
  });
}
