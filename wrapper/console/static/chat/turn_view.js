// A turn in the page: the user's message with its buttons, and a column for each model's answer.
import { Answer } from "./answer.js";
import { partsOf } from "./conversation.js";
import { element } from "./elements.js";
import { thumbnail } from "./files.js";

export class TurnView {
  constructor(turn, models, { edit, retry }) {
    this.turn = turn;
    this.answers = models.map((model) => new Answer(model));
    const columns = element("div", { className: "answers" }, ...this.answers.map((answer) => answer.element));
    this.element = element("li", {}, message(turn.user, [["Edit", () => edit(this)], ["Retry", () => retry(this)]]), columns);
  }
}

function message({ content }, actions) {
  const parts = partsOf(content);
  const texts = parts.filter((part) => "text" in part).map((part) => element("div", { className: "said" }, part.text));
  const files = parts.filter((part) => !("text" in part)).map((part) => element("li", {}, thumbnail(part)));
  const buttons = actions.map(([name, act]) => {
    const button = element("button", { type: "button", className: "quiet" }, name);
    button.addEventListener("click", act);
    return button;
  });
  const shown = files.length ? [...texts, element("ul", { className: "files" }, ...files)] : texts;
  return element("article", { className: "message other" }, element("h2", {}, "You"), ...shown, element("div", { className: "bar" }, ...buttons));
}
