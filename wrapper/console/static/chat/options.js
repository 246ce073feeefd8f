// The options of the next request.
import { element } from "./elements.js";
import { ask } from "./gateway.js";

export class Options {
  constructor(form, root) {
    this.form = form;
    this.root = root;
    this.tools = form.querySelector("#tools");
    this.list = form.querySelector("#tool-list");
    this.tools.addEventListener("toggle", () => this.loadTools());
    form.addEventListener("change", () => this.show());
    form.addEventListener("submit", (event) => event.preventDefault());
    this.show();
  }

  read() {
    const { model, other, profile, effort, session, system } = Object.fromEntries([...this.form.elements].filter((field) => field.name).map((field) => [field.name, field.value.trim()]));
    return { models: other ? [model, other] : [model], profile, effort, session: other ? "" : session, system };
  }

  // Returns the body of a request.
  body(model, messages) {
    const { profile, effort, session } = this.read();
    const agent = profile === "agent" ? { show_tool_use: true, ...this.allowedTools() } : {};
    return {
      model,
      messages,
      ...(effort && { reasoning_effort: effort }),
      stream: true,
      stream_options: { include_usage: true },
      ...(session && { session_id: session }),
      claude: { profile, ...agent },
    };
  }

  set(values) {
    for (const [name, value] of Object.entries(values)) this.form.elements[name].value = value;
    this.show();
  }

  // Shows what belongs together. Two models cannot share a session.
  show() {
    const { models, profile } = this.read();
    const { session } = this.form.elements;
    session.readOnly = models.length > 1;
    if (session.readOnly) session.value = "";
    session.placeholder = session.readOnly ? "none for two models" : "none";
    this.tools.hidden = profile !== "agent";
    document.querySelector("#chosen").textContent = [models.join(" and "), profile].join(" · ");
  }

  allowedTools() {
    const boxes = [...this.list.querySelectorAll("input")];
    const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    return chosen.length < boxes.length ? { allowed_tools: chosen } : {};
  }

  async loadTools() {
    if (!this.tools.open || this.list.querySelector("input")) return;
    this.list.replaceChildren(element("p", { className: "muted small" }, "Asking Claude Code …"));
    try {
      const { data } = await (await ask(this.root.dataset.tools)).json();
      const usable = data.filter((tool) => tool.access !== "denied");
      const none = element("p", { className: "muted small" }, "There are none that you may use.");
      this.list.replaceChildren(...(usable.length ? usable.map(choice) : [none]));
    } catch (error) {
      this.list.replaceChildren(element("p", { className: "mistake" }, error.message));
    }
  }
}

function choice({ name, reason }) {
  const box = element("input", { type: "checkbox", value: name, checked: true });
  return element("label", { title: reason }, box, " ", name);
}
