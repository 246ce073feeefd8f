// The Vercel AI SDK: with its default, OpenAI's provider, and with one for compatible servers.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { openai } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";

const compatible = createOpenAICompatible({
  name: "gateway",
  baseURL: process.env.OPENAI_BASE_URL,
  apiKey: process.env.OPENAI_API_KEY,
  includeUsage: true,
  supportsStructuredOutputs: true,
});
const name = process.env.CLIENT_MODEL;
// The default provider holds unknown models for ones that do not reason.
const think = { forceReasoning: true, reasoningEffort: "high", reasoningSummary: "auto" };
const APIS = {
  responses: { model: openai(name), providerOptions: { openai: think } },
  "chat completions": {
    model: compatible(name),
    providerOptions: { gateway: { reasoningEffort: "high" } },
  },
};
const schema = z.object({ name: z.string(), people: z.number() });
const BERN = { name: "Bern", people: 134000 };
const json = `[[json ${JSON.stringify(BERN)}]]`;
const call = '[[tool add {"a": 3, "b": 4}]] [[result]]';
const functions = {
  stopWhen: stepCountIs(3),
  tools: {
    add: tool({
      inputSchema: z.object({ a: z.number(), b: z.number() }),
      execute: async ({ a, b }) => `The sum is ${a + b}.`,
    }),
  },
};

for (const [api, { model, providerOptions }] of Object.entries(APIS)) describe(api, () => {
  const asked = (prompt, more = {}) => ({ model, prompt, maxRetries: 0, ...more });

  test("text", async () => {
    const { text, usage, finishReason } = await generateText(asked("[[say Good day.]]"));
    assert.deepEqual([text, usage.outputTokens, finishReason], ["Good day.", 2, "stop"]);
  });

  test("streamed text", async () => {
    const result = streamText(asked("[[deltas 5]]"));
    const texts = [];
    for await (const text of result.textStream) texts.push(text);
    assert.deepEqual(texts, ["w1", " w2", " w3", " w4", " w5"]);
    assert.equal((await result.usage).outputTokens, 5);
  });

  test("reasoning", async () => {
    const asking = asked("[[think Hm.]] [[say Yes.]]", { providerOptions });
    const { text, reasoningText } = await generateText(asking);
    assert.deepEqual([reasoningText, text], ["Hm.", "Yes."]);
  });

  test("errors", async () => {
    await assert.rejects(generateText(asked("[[error 429]]")), { statusCode: 429 });
  });

  test("error in mid-stream", async () => {
    const errors = [];
    const onError = ({ error }) => errors.push(error);
    const result = streamText(asked("[[deltas 9]] [[break 529]]", { onError }));
    await result.consumeStream();
    assert.equal(errors.length, 1);
  });

  test("functions", async () => {
    const { text, steps } = await generateText(asked(call, functions));
    assert.deepEqual([text, steps.length], ["The sum is 7.", 2]);
  });

  test("functions in a stream", async () => {
    const result = streamText(asked(call, functions));
    assert.equal(await result.steps.then((steps) => steps.length), 2);
    assert.equal(await result.text, "The sum is 7.");
  });

  test("functions after thinking and text, and a second turn", async () => {
    const content = `[[think Hm.]] [[first I add.]] ${call} remember: TULIP`;
    const turn = (...messages) => {
      return generateText({ model, messages, providerOptions, maxRetries: 0, ...functions });
    };
    const first = await turn({ role: "user", content });
    assert.equal(first.text, "The sum is 7.");
    const said = first.responseMessages ?? first.response.messages; // the newest and the previous
    const next = { role: "user", content: "[[recall]]" };
    const second = await turn({ role: "user", content }, ...said, next);
    assert.equal(second.text, "TULIP");
  });

  test("object", async () => {
    const { object } = await generateObject(asked(json, { schema }));
    assert.deepEqual(object, BERN);
  });

  test("streamed object", async () => {
    const result = streamObject(asked(json, { schema }));
    for await (const part of result.partialObjectStream) assert.ok(part);
    assert.deepEqual(await result.object, BERN);
  });
});
