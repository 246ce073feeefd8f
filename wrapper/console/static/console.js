// What every page has: the theme switch, the menu on phones, copying, and local times.
(() => {
  const root = document.documentElement;
  const THEMES = ["system", "light", "dark"];

  function nameTheme() {
    for (const name of document.querySelectorAll("[data-theme-name]")) {
      name.textContent = root.dataset.theme || "system";
    }
  }

  function switchTheme() {
    const now = root.dataset.theme || "system";
    const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
    if (next === "system") delete root.dataset.theme;
    else root.dataset.theme = next;
    try {
      localStorage.setItem("console-theme", next);
    } catch {
      // The switch then holds for this page.
    }
    nameTheme();
    document.dispatchEvent(new Event("console:theme"));
  }

  function switchMenu(button) {
    const open = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(open));
  }

  async function copy(button) {
    const label = button.querySelector("span");
    const text = button.parentElement.querySelector("code").textContent;
    const before = label.textContent;
    try {
      await navigator.clipboard.writeText(text);
      label.textContent = "Copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(button.parentElement.querySelector("code"));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      label.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { label.textContent = before; }, 2000);
  }

  const WHEN = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  function localTimes(part) {
    for (const time of part.querySelectorAll("time[datetime]")) {
      time.title = time.dateTime;
      time.textContent = WHEN.format(new Date(time.dateTime));
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.matches(".theme")) switchTheme();
    else if (button.matches(".menu")) switchMenu(button);
    else if (button.matches("[data-copy]")) copy(button);
  });
  document.addEventListener("htmx:afterSwap", (event) => localTimes(event.target));
  document.addEventListener("console:live", (event) => localTimes(event.target));
  nameTheme();
  localTimes(document);
})();
