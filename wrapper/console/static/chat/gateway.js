// Requests to the gateway: the page's token goes with each, and errors have a text for people.
const { "X-CSRF-Token": csrf } = JSON.parse(document.body.getAttribute("hx-headers"));

// Returns the response, or throws an error whose message says what to do.
export async function ask(url, body, signal) {
  const headers = { "X-CSRF-Token": csrf, "Content-Type": "application/json" };
  const sent = body && { method: "POST", headers, body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(url, { redirect: "manual", signal, ...sent });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Error("The gateway does not answer. Check that it runs, and try again.");
  }
  if (response.ok) return response;
  if (response.type === "opaqueredirect") throw new Error("Your sign-in has ended. Load this page again to sign in.");
  const answer = await response.json().catch(() => null);
  throw new Error(answer?.error?.message ?? `The gateway answers with the status ${response.status}.`);
}

// Yields the chunks of a stream, which throws the error that it ends with.
export async function* chunksOf(response) {
  for await (const data of eventsOf(response.body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(chunk.error.message);
    yield chunk;
  }
  throw new Error("The connection was lost before the answer was complete.");
}

async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) if (event.startsWith("data: ")) yield event.slice(6);
  }
}
