// A request as programs that send it: with curl, and with OpenAI's libraries.
const KEY = "YOUR_KEY";
const LONGEST_URL = 200;
// What OpenAI's libraries know; Python's takes all else as extra_body.
const KNOWN = ["model", "messages", "reasoning_effort", "stream", "stream_options"];

export const LANGUAGES = { curl, Python: python, Node: node };

// Returns the request with its files cut short, as they would fill the page.
export function shorten(value) {
  if (typeof value === "string") return /^data:[^ ]*$/.test(value) && value.length > LONGEST_URL ? `${value.slice(0, 60)}…` : value;
  if (Array.isArray(value)) return value.map(shorten);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, shorten(inner)]));
}

function curl(body, url) {
  const quoted = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  return `curl -N ${url} \\\n  -H 'Authorization: Bearer ${KEY}' \\\n  -H 'Content-Type: application/json' \\\n  -d '${quoted}'`;
}

function python(body, url) {
  const { known, extra } = divide(body);
  const named = { ...known, ...(Object.keys(extra).length ? { extra_body: extra } : {}) };
  const lines = Object.entries(named).map(([name, value]) => `    ${name}=${literal(value, "    ")},\n`);
  return `from openai import OpenAI

client = OpenAI(base_url=${JSON.stringify(baseOf(url))}, api_key="${KEY}")
stream = client.chat.completions.create(
${lines.join("")})
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)`;
}

function node(body, url) {
  return `import OpenAI from "openai";

const client = new OpenAI({ baseURL: ${JSON.stringify(baseOf(url))}, apiKey: "${KEY}" });
const stream = await client.chat.completions.create(${JSON.stringify(body, null, 2)});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}`;
}

function divide(body) {
  const entries = Object.entries(body);
  const known = Object.fromEntries(entries.filter(([name]) => KNOWN.includes(name)));
  return { known, extra: Object.fromEntries(entries.filter(([name]) => !KNOWN.includes(name))) };
}

const baseOf = (url) => url.replace(/\/chat\/completions$/, "");

// Python writes strings and numbers as JSON does, and the rest almost so.
function literal(value, indent) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}    `;
  const isList = Array.isArray(value);
  const items = isList ? value.map((item) => literal(item, inner)) : Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${literal(item, inner)}`);
  const [open, close] = isList ? "[]" : "{}";
  return items.length ? `${open}\n${items.map((item) => `${inner}${item},\n`).join("")}${indent}${close}` : `${open}${close}`;
}
