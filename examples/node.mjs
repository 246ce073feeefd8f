// An answer in Node, printed while it comes: npm install openai, and node examples/node.mjs
//
// It asks the gateway at OPENAI_BASE_URL, with the key OPENAI_API_KEY where the gateway wants one.

import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.OPENAI_BASE_URL ?? "http://127.0.0.1:8000/v1",
  apiKey: process.env.OPENAI_API_KEY ?? "unused",
});

const stream = await client.chat.completions.create({
  model: "sonnet",
  messages: [{ role: "user", content: "Say hello." }],
  stream: true,
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0].delta.content ?? "");
}
console.log();
