// Renders a model's Markdown. The text is untrusted: HTML in it stays text, and no image is loaded.
import { copyable, element } from "./elements.js";

const TAGS = ["p", "br", "hr", "h3", "h4", "h5", "h6", "strong", "em", "del", "code", "pre", "blockquote", "ul", "ol", "li", "a", "table", "thead", "tbody", "tr", "th", "td"];
const SAFE = { ALLOWED_TAGS: TAGS, ALLOWED_ATTR: ["href", "start"], ALLOWED_URI_REGEXP: /^(https?|mailto):/i, ALLOW_DATA_ATTR: false, ALLOW_ARIA_ATTR: false, RETURN_DOM_FRAGMENT: true };

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escape = (text) => text.replace(/[&<>"']/g, (character) => ENTITIES[character]);

const parser = new marked.Marked({
  renderer: {
    html: ({ text }) => escape(text),
    image: ({ href, text }) => escape(`[image: ${text} ${href}]`),
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    // The page's own headings are h1 and h2.
    heading({ tokens, depth }) {
      const level = Math.min(depth + 2, 6);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
  },
});

// Returns a fragment. While the text grows, code has no buttons, as they would be replaced at once.
export function render(text, complete) {
  const fragment = DOMPurify.sanitize(parser.parse(text), SAFE);
  for (const link of fragment.querySelectorAll("a[href]")) {
    Object.assign(link, { rel: "noopener noreferrer", target: "_blank", title: link.href });
  }
  for (const table of fragment.querySelectorAll("table")) {
    const box = element("div", { className: "table", tabIndex: 0, aria: { role: "region", label: "Table" } });
    table.replaceWith(box);
    box.append(table);
  }
  for (const block of fragment.querySelectorAll("pre")) {
    if (complete) block.replaceWith(copyable(block.textContent.replace(/\n$/, "")));
    else block.tabIndex = 0;
  }
  return fragment;
}
