// Elements are made of texts, never of HTML: what a model writes stays text.
export function element(name, properties = {}, ...children) {
  const { data = {}, aria = {}, ...others } = properties;
  const made = Object.assign(document.createElement(name), others);
  Object.assign(made.dataset, data);
  for (const [key, value] of Object.entries(aria)) made.setAttribute(key === "role" ? key : `aria-${key}`, value);
  made.append(...children);
  return made;
}

// A text with a button that copies it, which console.js serves.
export function copyable(text) {
  const code = element("pre", { tabIndex: 0 }, element("code", {}, text));
  const button = element("button", { className: "quiet", type: "button", data: { copy: "" } }, element("span", {}, "Copy"));
  return element("div", { className: "copyable" }, code, button);
}
