// What the gateway notes about an answer, in its headers and at the end of its stream, in plain words.
import { element } from "./elements.js";

const WORDS = {
  "x-model-remapped": (model) => `The model ${model} is retired; another one has answered.`,
  "x-failed-models": (models) => `${models} failed before beginning to answer; another model has answered.`,
  "x-ignored-params": (names) => `This had no effect: ${names}.`,
  "x-clamped-params": (names) => `This was changed to the nearest value that the model accepts: ${names}.`,
  "x-adapted-params": (names) => `This reaches the model in another form, or only in words: ${names}.`,
  "x-adapted-messages": (names) => `This reaches the model in another form: ${names}.`,
  "x-retried-params": (names) => `The model was asked a second time, since its first answer did not heed this: ${names}.`,
  "x-unmet-params": (names) => `The answer does not heed this: ${names}.`,
  "x-ended-early": () => "The answer ends early, since the budget of your key is used up.",
  "x-budget-warnings": (budgets) => `So much is spent: ${budgets.split(", ").map(spent).join(", ")}.`,
  "x-resized-images": (names) => `This image reaches the model in a smaller size: ${names}.`,
  "x-corrected-files": (names) => `This file had a wrong type or checksum, which was corrected: ${names}.`,
  "x-failed-checks": (names) => `The installed Claude Code fails a check on which this depends: ${names}.`,
  "idempotent-replayed": () => "This is the stored answer to an earlier attempt; the model was not asked again.",
};
const BUDGETS = {
  usd_per_day: "the day's budget",
  usd_per_month: "the month's budget",
  user_usd_per_day: "your budget of the day",
  user_usd_per_month: "your budget of the month",
};
const PARAMETERS = {
  reasoning_effort: "the effort",
  session_id: "the session",
  stream_options: "the count of tokens",
  "claude.profile": "the profile",
  "claude.allowed_tools": "the choice of tools",
  "claude.show_tool_use": "the display of tools",
};
const PATH = /^messages\.(\d+)(?:\.content\.(\d+))?/;

// Returns a list of the notes, or null without any. A note of the stream's end replaces a header's.
export function notesOf(headers, last, body) {
  const texts = Object.entries(WORDS)
    .map(([name, write]) => [last[name] ?? headers.get(name), write])
    .filter(([value]) => value)
    .map(([value, write]) => write([...new Set(value.split(", ").map((path) => plain(path, body)))].join(", ")));
  if (!texts.length) return null;
  return element("ul", { className: "notes small", aria: { label: "Notes about this answer" } }, ...texts.map((text) => element("li", {}, text)));
}

function spent(budget) {
  const [name, percent] = budget.split("=");
  return `${percent} % of ${BUDGETS[name] ?? name}`;
}

function plain(path, { messages }) {
  const [, message, part] = path.match(PATH) ?? [];
  if (message === undefined) return PARAMETERS[path] ?? path;
  const { role } = messages[message] ?? {};
  const isLast = Number(message) === messages.length - 1;
  const name = role === "system" ? "the system prompt" : isLast ? "your message" : `message ${Number(message) + 1}`;
  return part === undefined ? name : `part ${Number(part) + 1} of ${name}`;
}
