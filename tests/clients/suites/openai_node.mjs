// The `openai` library for Node, in the versions that are used.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import OpenAI from "openai";
import {
  zodFunction,
  zodResponseFormat,
  zodResponsesFunction,
  zodTextFormat,
} from "openai/helpers/zod";
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

describe("responses", () => {
  const { responses } = new OpenAI({ maxRetries: 0 });
  const ask = (input, more = {}) => ({ model, input, ...more });
  const text = { format: zodTextFormat(City, "city") };

  test("a response", async () => {
    const response = await responses.create(ask("[[say Good day.]]"));
    assert.deepEqual([response.status, response.output_text], ["completed", "Good day."]);
    assert.equal(response.usage.output_tokens, 2);
  });

  test("a stream", async () => {
    const events = [];
    const stream = await responses.create(ask("[[deltas 5]]", { stream: true }));
    for await (const event of stream) events.push(event);
    const deltas = events.filter(({ type }) => type === "response.output_text.delta");
    assert.equal(events[0].type, "response.created");
    assert.equal(deltas.map(({ delta }) => delta).join(""), "w1 w2 w3 w4 w5");
    assert.equal(events.at(-1).type, "response.completed");
  });

  test("the stream helper", async () => {
    const response = await responses.stream(ask("[[deltas 5]]")).finalResponse();
    assert.equal(response.output_text, "w1 w2 w3 w4 w5");
  });

  test("a failed stream", async () => {
    const stream = await responses.create(ask("[[deltas 9]] [[break 529]]", { stream: true }));
    let last;
    for await (const event of stream) last = event;
    assert.equal(last.type, "response.failed");
    assert.equal(last.response.error.code, "server_is_overloaded");
  });

  test("parse", async () => {
    const response = await responses.parse(ask(json, { text }));
    assert.deepEqual(response.output_parsed, BERN);
  });

  test("parse of a stream", async () => {
    const response = await responses.stream(ask(json, { text })).finalResponse();
    assert.deepEqual(response.output_parsed, BERN);
  });

  test("functions", async () => {
    const add = zodResponsesFunction({
      name: "add",
      parameters: z.object({ a: z.number(), b: z.number() }),
    });
    const input = [{ role: "user", content: '[[tool add {"a": 3, "b": 4}]] [[result]]' }];
    const { output } = await responses.parse(ask(input, { tools: [add] }));
    assert.deepEqual(output[0].parsed_arguments, { a: 3, b: 4 });
    const result = { call_id: output[0].call_id, output: "The sum is 7." };
    input.push(...output, { type: "function_call_output", ...result });
    const response = await responses.create(ask(input, { tools: [add] }));
    assert.equal(response.output_text, "The sum is 7.");
  });

  test("continuation", async () => {
    const first = await responses.create(ask("[[say Hi]] remember: TULIP"));
    const more = { previous_response_id: first.id };
    const second = await responses.create(ask("[[recall]]", more));
    assert.equal(second.output_text, "TULIP");
    const third = await responses.stream(ask("[[recall]]", more)).finalResponse();
    assert.equal(third.output_text, "TULIP");
    assert.equal((await responses.retrieve(first.id)).output_text, "Hi");
    const texts = [];
    for await (const { content } of responses.inputItems.list(first.id)) texts.push(content[0].text);
    assert.deepEqual(texts, ["[[say Hi]] remember: TULIP"]);
    await responses.delete(first.id);
    await assert.rejects(responses.retrieve(first.id), OpenAI.NotFoundError);
    const code = "previous_response_not_found";
    await assert.rejects(responses.create(ask("[[recall]]", more)), { code });
  });

  test("errors", async () => {
    const bad = responses.create(ask([{ type: "computer_call" }]));
    await assert.rejects(bad, { constructor: OpenAI.BadRequestError, param: "input.0.type" });
  });
});
