// The `@anthropic-ai/sdk` library for Node.

import assert from "node:assert/strict";
import { test } from "node:test";

import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";

const model = process.env.CLIENT_MODEL;
const client = new Anthropic({ maxRetries: 0 });
const asked = (content, more = {}) => ({
  model,
  max_tokens: 2000,
  messages: [{ role: "user", content }],
  ...more,
});
const textOf = (message) => message.content.map((block) => block.text ?? "").join("");
const City = z.object({ name: z.string(), people: z.number() });
const BERN = { name: "Bern", people: 134000 };
const json = `[[json ${JSON.stringify(BERN)}]]`;

test("message", async () => {
  const message = await client.messages.create(asked("[[say Good day.]]"));
  assert.equal(textOf(message), "Good day.");
  assert.equal(message.stop_reason, "end_turn");
  assert.equal(message.usage.output_tokens, 2);
  assert.match(message._request_id, /^req_/);
});

test("stream", async () => {
  const texts = [];
  const stream = await client.messages.create(asked("[[deltas 5]]", { stream: true }));
  for await (const event of stream) texts.push(event.delta?.text ?? "");
  assert.equal(texts.join(""), "w1 w2 w3 w4 w5");
});

test("stream helper", async () => {
  const stream = client.messages.stream(asked("[[deltas 5]]"));
  assert.equal(await stream.finalText(), "w1 w2 w3 w4 w5");
  assert.equal((await stream.finalMessage()).usage.output_tokens, 5);
});

for (const stream of [false, true]) {
  test(`tools run by the library, stream ${stream}`, async () => {
    const add = betaZodTool({
      name: "add",
      description: "Add two numbers.",
      inputSchema: z.object({ a: z.number(), b: z.number() }),
      run: ({ a, b }) => `The sum is ${a + b}.`,
    });
    const text = '[[tool add {"a": 3, "b": 4}]] [[result]]';
    const runner = client.beta.messages.toolRunner(asked(text, { tools: [add], stream }));
    assert.equal(textOf(await runner.runUntilDone()), "The sum is 7.");
  });
}

test("parse", async () => {
  const output_config = { format: zodOutputFormat(City) };
  const message = await client.messages.parse(asked(json, { output_config }));
  assert.deepEqual(message.parsed_output, BERN);
});

test("errors", async () => {
  const ask = (content, more) => client.messages.create(asked(content, more));
  await assert.rejects(ask("x", { model: "gpt-nothing" }), Anthropic.NotFoundError);
  await assert.rejects(ask("x", { max_tokens: 0 }), Anthropic.BadRequestError);
  await assert.rejects(ask("[[error 429]]"), Anthropic.RateLimitError);
  await assert.rejects(ask("[[error 529]]"), { status: 529, type: "overloaded_error" });
});

test("error in mid-stream", async () => {
  const stream = client.messages.stream(asked("[[deltas 9]] [[break 529]]"));
  await assert.rejects(stream.finalMessage(), Anthropic.APIError);
});

test("models", async () => {
  const ids = [];
  for await (const listed of client.models.list({ limit: 2 })) ids.push(listed.id);
  assert.ok(ids.length > 2);
  assert.equal((await client.models.retrieve(ids[0])).id, ids[0]);
});
