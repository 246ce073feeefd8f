// Fills the key that one types into the snippets of this page. It is sent nowhere and not kept.
(() => {
  const field = document.querySelector("[data-fills]");
  const snippets = [...document.querySelectorAll(".copyable code")].map((code) => [code, code.textContent]);
  field?.addEventListener("input", () => {
    const key = field.validity.valid && field.value ? field.value : field.dataset.fills;
    for (const [code, text] of snippets) code.textContent = text.replaceAll(field.dataset.fills, () => key);
  });
})();
