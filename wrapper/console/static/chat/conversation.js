// What has been said: turns of a user's message and the replies of one model, or of two.

// A reply is a list of messages, or null if there is none: the turn then is no part of the history.
export class Conversation {
  constructor() {
    this.clear();
  }

  clear() {
    this.turns = [];
    this.session = ""; // where the gateway keeps this conversation, too
    this.system = "";
  }

  begin(user, models) {
    const turn = { user, replies: models.map(() => null) };
    this.turns.push(turn);
    return turn;
  }

  // Returns what a model has to get before *turn*, and that turn. A session has the former.
  messages(turn, column, { session, system }) {
    const kept = Boolean(session) && session === this.session;
    const first = system && !(kept && system === this.system) ? [{ role: "system", content: system }] : [];
    const earlier = kept ? [] : this.turns.slice(0, this.turns.indexOf(turn)).flatMap((each) => history(each, column));
    return [...first, ...earlier, turn.user];
  }

  keep({ session, system }) {
    Object.assign(this, { session, system });
  }

  // Drops the turns from *index* on, and says whether the session has any of them.
  rewind(index) {
    const dropped = this.turns.splice(index);
    const branches = Boolean(this.session) && dropped.some((turn) => turn.replies.some(Boolean));
    if (branches) this.session = "";
    return branches;
  }

  // Takes over the messages of a session.
  load(session, messages) {
    this.clear();
    this.session = session;
    for (const message of messages) {
      if (message.role === "system" || message.role === "developer") this.system = textOf(message.content);
      else if (message.role === "user" || !this.turns.length) this.turns.push({ user: message, replies: [[]] });
      else this.turns.at(-1).replies[0].push(message);
    }
  }
}

export const textOf = (content) => partsOf(content).map((part) => part.text ?? "").join("");
export const partsOf = (content) => (typeof content === "string" ? [{ type: "text", text: content }] : content ?? []);

function history({ user, replies }, column) {
  const reply = replies[Math.min(column, replies.length - 1)];
  return reply ? [user, ...reply] : [];
}
