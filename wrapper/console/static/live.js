// Follows a part of the page by server-sent events while the page can be seen.
(() => {
  let part = document.querySelector("[data-live]");
  const state = document.querySelector("[data-live-state]");
  let source = null;
  let late = null; // what the server has sent last, while it is not shown

  function follow() {
    source = new EventSource(part.dataset.live);
    source.onopen = () => { state.textContent = "This page follows the gateway by itself."; };
    source.onmessage = (event) => {
      late = event.data;
      show();
    };
    source.onerror = () => {
      const ended = source.readyState === EventSource.CLOSED;
      state.textContent = ended
        ? "This page no longer follows the gateway. Your sign-in may have ended: load the page again."
        : "The connection is lost; trying again …";
      if (ended) source = null;
    };
  }

  // The server sends nothing again, so what comes while the reader is in the part is shown later.
  function show() {
    if (late === null || holdsFocus()) return;
    part.innerHTML = late;
    late = null;
    htmx.process(part);
    part.dispatchEvent(new Event("console:live", { bubbles: true }));
  }

  // A hidden page would hold one of the few connections that a browser opens to a server.
  function adapt() {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (!source) {
      follow();
    }
  }

  // A search may replace the part that is followed by that of another list.
  function renew() {
    if (part.isConnected) return;
    source?.close();
    source = late = null;
    part = document.querySelector("[data-live]");
    if (part) adapt();
  }

  // Replacing what the reader is in would take their place from them.
  function holdsFocus() {
    const selected = getSelection();
    const reads = !selected.isCollapsed && part.contains(selected.anchorNode);
    return reads || part.contains(document.activeElement);
  }

  // After a moment, so that a press of a button that takes the reader away still finds it.
  const showSoon = () => setTimeout(show, 500);
  document.addEventListener("focusout", showSoon);
  document.addEventListener("selectionchange", showSoon);
  document.addEventListener("visibilitychange", adapt);
  document.addEventListener("htmx:afterSwap", renew);
  addEventListener("pagehide", () => source?.close());
  adapt();
})();
