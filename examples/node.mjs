// Print an answer in Node while it arrives: npm install openai; node examples/node.mjs
//
// It calls the gateway at OPENAI_BASE_URL, with the key OPENAI_API_KEY if the gateway requires one.

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
