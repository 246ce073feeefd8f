// Follows what waits: the count in the navigation, the list of the inbox, and notifications.
(() => {
  const badge = document.querySelector("[data-inbox-count]");
  if (!badge) return;
  const list = document.querySelector("[data-inbox]");
  const switches = [...document.querySelectorAll("[data-notify]")];
  const LAST = "console-inbox-last";
  let source = null;
  let stopAnnouncing = null; // set while this page, of all that are open, announces

  // What the browser remembers

  function remembered(store, name) {
    try {
      return store.getItem(name);
    } catch {
      return null;
    }
  }

  function remember(store, name, value) {
    try {
      store.setItem(name, value);
    } catch {
      // Without storage it holds for this page.
    }
  }

  const isOn = (name) => remembered(localStorage, `console-notify-${name}`) === "on";
  const canNotify = () => "Notification" in window && Boolean(navigator.locks);
  const announces = () => canNotify() && Notification.permission === "granted" && (isOn("needs") || isOn("done"));

  // Notifications

  function notify(tag, title, body) {
    const notification = new Notification(title, { tag, body });
    notification.onclick = () => {
      window.focus();
      location.assign(badge.closest("a").href);
      notification.close();
    };
  }

  function announce(state) {
    const last = JSON.parse(remembered(sessionStorage, LAST) ?? "null");
    remember(sessionStorage, LAST, JSON.stringify(state));
    if (!last) return;
    const known = new Set(last.waiting.map(([id]) => id));
    const fresh = state.waiting.filter(([id]) => !known.has(id));
    if (isOn("needs") && fresh.length) {
      notify("console-needs", "Claude Code needs you", fresh.length > 1 ? `${fresh.length} tools wait for your decision.` : `${fresh[0][1]} waits for your decision.`);
    }
    // A worker that is not seen may run its turns still.
    const isSeen = (turn) => state.workers.includes(String(turn).split(":")[0]);
    const ended = last.long.some((turn) => isSeen(turn) && !state.long.includes(turn));
    if (isOn("done") && ended) notify("console-done", "Claude Code is done", "A turn of yours has ended.");
  }

  async function flip(box) {
    const state = document.querySelector("[data-notify-state]");
    state.textContent = "";
    if (box.checked && Notification.permission !== "granted" && (await Notification.requestPermission()) !== "granted") {
      box.checked = false;
      state.textContent = "This browser blocks notifications of this page; allow them in its settings for the site.";
    }
    remember(localStorage, `console-notify-${box.dataset.notify}`, box.checked ? "on" : "off");
    adapt();
  }

  // The list

  function fill(waiting) {
    const known = new Set(waiting.map(([id]) => id));
    for (const card of list.querySelectorAll("[data-waits]")) {
      // A card that its reader is in stays: what they send then is answered in its place.
      if (!known.has(card.id) && !card.contains(document.activeElement)) card.remove();
    }
    for (const [id] of waiting) {
      if (!document.getElementById(id)) load(id);
    }
    document.querySelector("[data-inbox-empty]").hidden = Boolean(waiting.length);
  }

  function load(id) {
    const card = document.createElement("article");
    card.id = id;
    card.dataset.waits = "";
    card.setAttribute("hx-get", `${list.dataset.inbox}/${id}`);
    card.setAttribute("hx-trigger", "load");
    card.setAttribute("hx-swap", "outerHTML");
    list.append(card);
    htmx.process(card);
  }

  // A card whose content could not be had is asked for again, if it still waits then.
  function retry({ target: card }) {
    if (!card.matches("[data-waits]:empty")) return;
    setTimeout(() => {
      if (!card.isConnected) return;
      card.remove();
      load(card.id);
    }, 5000);
  }

  function countDown() {
    for (const part of list.querySelectorAll("[data-until]")) {
      const left = Math.max(0, Math.floor(part.dataset.until - Date.now() / 1000));
      part.textContent = left < 60 ? `in ${left} s` : `in ${Math.floor(left / 60)} min ${left % 60} s`;
    }
  }

  // The stream

  function take(event) {
    const state = JSON.parse(event.data);
    badge.firstElementChild.textContent = state.count;
    badge.hidden = !state.count;
    if (list) fill(state.waiting);
    if (stopAnnouncing) announce(state);
  }

  function say(text) {
    if (list) document.querySelector("[data-inbox-state]").textContent = text;
  }

  function lose() {
    const ended = source.readyState === EventSource.CLOSED;
    say(ended
      ? "What waits is no longer shown here. Your sign-in may have ended: load the page again."
      : "The connection is lost; trying again …");
    if (ended) source = null;
  }

  function adapt() {
    const wants = (list && !document.hidden) || (stopAnnouncing && announces());
    if (wants && !source) {
      source = new EventSource(badge.dataset.inboxCount);
      source.onopen = () => say("");
      source.onmessage = take;
      source.onerror = lose;
    } else if (!wants && source) {
      source.close();
      source = null;
    }
    waitForTurn();
  }

  // One page at a time announces; when it is closed, the next one does.
  let isWaiting = false;
  function waitForTurn() {
    if (!announces()) {
      stopAnnouncing?.();
      return;
    }
    if (isWaiting) return;
    isWaiting = true;
    navigator.locks.request("console-notifications", () => new Promise((done) => {
      stopAnnouncing = () => {
        stopAnnouncing = null;
        isWaiting = false;
        done();
      };
      adapt();
    }));
  }

  for (const box of switches) {
    box.disabled = !canNotify();
    box.checked = canNotify() && isOn(box.dataset.notify) && Notification.permission === "granted";
    box.addEventListener("change", () => flip(box));
  }
  if (switches.length && !canNotify()) {
    document.querySelector("[data-notify-state]").textContent = "Browsers notify only of pages behind TLS, or on this machine.";
  }
  if (list) {
    countDown();
    setInterval(countDown, 1000);
    list.addEventListener("htmx:responseError", retry);
    list.addEventListener("htmx:sendError", retry);
  }
  document.addEventListener("visibilitychange", adapt);
  addEventListener("pagehide", () => source?.close());
  adapt();
})();
