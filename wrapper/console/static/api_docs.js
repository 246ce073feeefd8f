// Starts Swagger UI, in the theme of the console.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  function followTheme() {
    const theme = root.dataset.theme || (system.matches ? "dark" : "light");
    root.classList.toggle("dark-mode", theme === "dark");
  }

  system.addEventListener("change", followTheme);
  followTheme();

  // They are buttons within buttons, which neither keyboards nor screen readers can tell apart.
  const withoutCopyButtons = () => ({ wrapComponents: { CopyToClipboardBtn: () => () => null } });

  const NAMES = {
    "select#servers": "Server",
    ".examples-select-element": "Example",
    "textarea.body-param__text": "Body of the request",
    ".content-type": "Media type",
    ".parameters input": "Value",
    ".parameters select": "Value",
  };

  // Swagger UI leaves these without a name, and long texts out of the keyboard's reach.
  function complete() {
    for (const [css, name] of Object.entries(NAMES)) {
      for (const field of page.querySelectorAll(`${css}:not([aria-label])`)) {
        field.setAttribute("aria-label", field.placeholder || name);
      }
    }
    for (const text of page.querySelectorAll("pre:not([tabindex])")) text.tabIndex = 0;
  }

  const page = document.querySelector("#document");
  new MutationObserver(complete).observe(page, { childList: true, subtree: true });
  SwaggerUIBundle({
    domNode: page,
    url: page.dataset.url,
    defaultModelsExpandDepth: -1,
    displayRequestDuration: true,
    plugins: [withoutCopyButtons],
    syntaxHighlight: false, // its colours are too faint
    tryItOutEnabled: true,
    validatorUrl: null, // it would send the document to another site
  });
})();
