// An answer as it comes: its thinking and its tools in sections that fold, its text as Markdown.
import { copyable, element } from "./elements.js";
import { render } from "./markdown.js";
import { notesOf } from "./notes.js";
import { LANGUAGES, shorten } from "./snippets.js";
import { seconds, timingBar } from "./timing.js";

// Long texts take long to render: the pause between two times grows with it.
const PAUSE = 80;
const ENDINGS = {
  length: "The answer ends early: a limit of tokens, of rounds or of the budget is reached.",
  content_filter: "The model refuses to answer this.",
};
const OUTCOMES = { done: ["good", "done"], failed: ["bad", "failed"], denied: ["warning", "denied"] };

export class Answer {
  constructor(model) {
    this.text = "";
    this.steps = new Map();
    this.notes = {};
    this.part = null;
    this.body = element("div", { className: "answer-body" });
    this.waiting = element("p", { className: "muted waiting" }, "Waiting for the model …");
    this.element = element("article", { className: "message assistant", aria: { label: `Answer of ${model}` } }, element("h2", {}, model), this.body, this.waiting);
  }

  add(chunk) {
    const { tool_use: use, tool_result: result, approval } = chunk.claude ?? {};
    const { delta = {}, finish_reason: reason } = chunk.choices[0] ?? {};
    if (use) this.use(use);
    else if (delta.reasoning_content) this.think(delta.reasoning_content);
    if (result) this.result(result);
    if (approval) this.approval(approval);
    if (delta.content) this.write(delta.content);
    if (reason) this.reason = reason;
    if (chunk.usage) this.usage = chunk.usage;
    Object.assign(this.notes, chunk.notes);
  }

  // Shows the messages of an earlier answer.
  replay(messages) {
    for (const { role, content, tool_calls: calls = [] } of messages) {
      const texts = typeof content === "string" ? [content] : (content ?? []).map((part) => part.text ?? JSON.stringify(part));
      for (const text of texts) {
        if (role === "assistant") this.write(text);
        else this.step("Result", text);
      }
      for (const call of calls) this.step(call.function.name, call.function.arguments);
    }
    this.settle();
  }

  think(text) {
    if (this.part?.kind !== "thinking") {
      const said = element("div", { className: "said" });
      const name = element("span", {}, "Thinking …");
      const section = element("details", { className: "step", open: true }, element("summary", {}, name), said);
      const end = () => { section.open = false; name.textContent = "Thinking"; };
      this.begin({ kind: "thinking", end, said }, section);
    }
    this.part.said.append(text);
  }

  write(text) {
    if (this.part?.kind !== "text") {
      const shown = element("div", { className: "prose" });
      this.begin({ kind: "text", text: "", shown, end() { draw(this, true); } }, shown);
    }
    this.text += text;
    this.part.text += text;
    drawSoon(this.part);
  }

  use({ id, name, arguments: written }) {
    const state = this.step(name, pretty(written), "runs");
    this.steps.set(id, state);
  }

  result({ id, outcome, seconds: time, output }) {
    const state = this.steps.get(id);
    if (!state) return;
    const [tone, word] = OUTCOMES[outcome];
    state.className = `state ${tone}`;
    state.textContent = `${word}, ${seconds(time * 1000)}`;
    if (output) state.closest("details").append(block(output));
  }

  // Adds a section that is closed, and returns what shows its state.
  step(title, text, doing = "") {
    const state = element("span", doing ? { className: "state" } : {}, doing);
    this.begin(null, element("details", { className: "step" }, element("summary", {}, element("b", {}, title), " ", state), block(text)));
    return state;
  }

  approval({ id, tool, preview, status }) {
    this.steps.get(id)?.remove();
    this.steps.delete(id);
    if (status !== "pending") return;
    const link = element("a", { href: document.querySelector("#chat").dataset.approvals, target: "_blank" }, "Decide in the inbox");
    const note = element("div", { className: "note" }, element("p", {}, `${tool} waits for your approval. `, link), block(preview));
    this.steps.set(id, note);
    this.begin(null, note);
  }

  begin(part, shown) {
    this.settle();
    this.part = part;
    this.body.append(shown);
  }

  settle() {
    this.waiting.remove();
    this.part?.end();
    this.part = null;
  }

  end({ headers, time, body, url }) {
    this.settle();
    this.outcome = `The answer of ${body.model} is complete: ${this.text}`;
    if (ENDINGS[this.reason]) this.body.append(element("p", { className: "note" }, ENDINGS[this.reason]));
    const notes = notesOf(headers, this.notes, body);
    if (notes) this.body.append(notes);
    const facts = element("p", { className: "muted small facts-line" }, this.facts(time).join(" · "));
    this.element.append(element("footer", {}, facts, timingBar(headers.get("server-timing") ?? "", time), asCode(body, url)));
  }

  fail(message) {
    this.settle();
    this.outcome = message;
    this.element.append(element("div", { className: "note bad" }, element("p", {}, message)));
  }

  // Returns what the conversation goes on with. The model's API takes back no refusal.
  messages() {
    if (this.reason === "content_filter") return null;
    return this.text ? [{ role: "assistant", content: this.text }] : [];
  }

  facts(time) {
    const { cost_usd: cost = null, total_tokens: tokens } = this.usage ?? {};
    const known = [cost === null ? "cost unknown" : `$${Number(cost.toPrecision(3))}`];
    if (tokens !== undefined) known.push(`${tokens.toLocaleString("en")} tokens`);
    return [...known, seconds(time)];
  }
}

const block = (text) => element("pre", { tabIndex: 0 }, element("code", {}, text));

function pretty(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

function draw(part, complete) {
  clearTimeout(part.timer);
  part.timer = 0;
  const began = performance.now();
  part.shown.replaceChildren(render(part.text, complete));
  part.pause = Math.max(PAUSE, 5 * (performance.now() - began));
}

function drawSoon(part) {
  part.timer ||= setTimeout(draw, part.pause ?? 0, part, false);
}

function asCode(body, url) {
  const panel = element("div");
  const buttons = Object.entries(LANGUAGES).map(([name, write]) => {
    const button = element("button", { type: "button", className: "quiet", aria: { expanded: "false" } }, `as ${name}`);
    button.addEventListener("click", () => {
      const opens = button.getAttribute("aria-expanded") === "false";
      for (const each of buttons) each.setAttribute("aria-expanded", String(opens && each === button));
      panel.replaceChildren(...(opens ? [copyable(write(shorten(body), url))] : []));
    });
    return button;
  });
  return element("div", { className: "code" }, element("div", { className: "bar" }, ...buttons), panel);
}
