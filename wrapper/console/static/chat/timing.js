// How long an answer took, as a bar of its phases: Server-Timing's, and what the page measures.
import { element } from "./elements.js";

const NAMES = { queue: "waiting for a place", lease: "getting a process", configure: "setting it up", model: "until the first word", answer: "writing" };

export function timingBar(header, total) {
  const phases = phasesOf(header, total);
  const text = phases.map(([name, time]) => `${NAMES[name]} ${seconds(time)}`).join(", ");
  const bar = element("div", { className: "timing", title: text, aria: { role: "img", label: `Time: ${text}` } });
  for (const [name, time] of phases) {
    const part = element("span", { className: name });
    part.style.flexGrow = time;
    bar.append(part);
  }
  return bar;
}

export const seconds = (time) => (time < 950 ? `${Math.round(time)} ms` : `${(time / 1000).toFixed(1)} s`);

function phasesOf(header, total) {
  const times = {};
  for (const [, name, time] of header.matchAll(/([\w-]+);dur=([\d.]+)/g)) times[name] = Number(time);
  const { queue = 0, lease = 0, configure = 0, first_token: first = 0 } = times;
  const model = Math.max(0, first - queue - lease - configure);
  const answer = Math.max(0, total - first);
  return Object.entries({ queue, lease, configure, model, answer }).filter(([, time]) => time > 0);
}
