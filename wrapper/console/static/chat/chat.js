// The chat: sends what is in the composer, and shows the conversation.
import { Conversation, partsOf, textOf } from "./conversation.js";
import { Composer } from "./composer.js";
import { ask, chunksOf } from "./gateway.js";
import { Options } from "./options.js";
import { TurnView } from "./turn_view.js";

// Screen readers read the answer once it is complete; of a long one, its beginning.
const MOST_SPOKEN = 1000;

const $ = (css) => document.querySelector(css);
const page = document.documentElement;
const root = $("#chat");
const conversation = new Conversation();
const options = new Options($("#choices"), root);
const composer = new Composer($("#composer"), { submit, stop: () => running?.abort() });
let views = [];
let running = null;
let follows = true;

function submit(content, edited) {
  if (edited) rewind(edited);
  return run({ role: "user", content });
}

async function run(user) {
  const chosen = options.read();
  const turn = conversation.begin(user, chosen.models);
  const view = show(turn, chosen.models);
  running = new AbortController();
  composer.setBusy(true);
  follows = true;
  follow();
  await Promise.all(view.answers.map((answer, column) => stream(answer, turn, column, chosen)));
  if (conversation.turns.includes(turn) && turn.replies.some(Boolean)) keep(chosen);
  composer.setBusy(false);
  $("#status").textContent = view.answers.map((answer) => answer.outcome).join(" ").slice(0, MOST_SPOKEN);
}

// Who enters the session's name again later gets what it has.
function keep(chosen) {
  conversation.keep(chosen);
  if (chosen.session && !isKnown(chosen.session)) $("#sessions").append(new Option("", chosen.session));
}

async function stream(answer, turn, column, chosen) {
  const body = options.body(chosen.models[column], conversation.messages(turn, column, chosen));
  const began = performance.now();
  try {
    if (JSON.stringify(body).length > root.dataset.bytes) throw new Error("The conversation with its files is too large for one request. Begin a new chat, or use a session.");
    const response = await ask(root.dataset.send, body, running.signal);
    for await (const chunk of chunksOf(response)) {
      answer.add(chunk);
      follow();
    }
    answer.end({ headers: response.headers, time: performance.now() - began, body, url: root.dataset.api });
    turn.replies[column] = answer.messages();
  } catch (error) {
    answer.fail(running.signal.aborted ? "Stopped. This turn is no part of the conversation; you can edit or retry it." : error.message);
  }
  follow();
}

// Keeps the end in sight, unless the reader has scrolled away from it.
function follow() {
  if (follows) page.scrollTop = page.scrollHeight;
}

function show(turn, models) {
  const view = new TurnView(turn, models, { edit, retry });
  views.push(view);
  $("#turns").append(view.element);
  showWhole();
  return view;
}

function showWhole() {
  $("#welcome").hidden = $("#clear").hidden = false;
  $(views.length ? "#welcome" : "#clear").hidden = true;
}

// Says whether an answer is still being written, also to the reader.
function waits() {
  if (composer.busy) composer.report("An answer is being written. Wait for it, or stop it.");
  return composer.busy;
}

function edit(view) {
  if (waits()) return;
  const { content } = view.turn.user;
  composer.edit(view, textOf(content), partsOf(content).filter((part) => !("text" in part)));
}

function retry(view) {
  if (waits()) return;
  rewind(view);
  run(view.turn.user);
}

// Goes back to before a turn. What a session remembers stays there, and a new one begins.
function rewind(view) {
  const index = views.indexOf(view);
  for (const dropped of views.splice(index)) dropped.element.remove();
  const { session } = options.read();
  if (conversation.rewind(index)) options.set({ session: `${session.slice(0, 100)}-${Date.now().toString(36)}` });
  showWhole();
}

function clear() {
  running?.abort();
  conversation.clear();
  for (const view of views.splice(0)) view.element.remove();
  showWhole();
}

// Continues an earlier session.
async function load(session) {
  try {
    const address = root.dataset.session.replace(/ID$/, () => encodeURIComponent(session));
    const { messages } = await (await ask(address)).json();
    clear();
    conversation.load(session, messages);
    options.set({ session, system: conversation.system });
    for (const turn of conversation.turns) show(turn, ["Assistant"]).answers[0].replay(turn.replies[0]);
    composer.focus();
  } catch (error) {
    composer.report(error.message);
  }
}

const isKnown = (session) => [...$("#sessions").options].some((option) => option.value === session);

addEventListener("scroll", () => { follows = page.scrollHeight - page.scrollTop - innerHeight < 100; });
$("#clear").addEventListener("click", () => {
  clear();
  options.set({ session: "" });
  composer.focus();
});
$("#session").addEventListener("change", (event) => {
  const session = event.target.value.trim();
  if (isKnown(session)) load(session);
});
if (matchMedia("(max-width: 75rem)").matches) $("#options").open = false;
const { session } = options.read();
if (session) load(session);
else composer.focus();
