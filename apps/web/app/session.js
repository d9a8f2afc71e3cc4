// The page's part of `regnet-edge benchmark --host web`: it takes jobs from the computer and sends back what it saw.
//
// The address brings a token that works once: the first page that greets with it gets a key for all that
// follows. Everything is a small POST; the computer serves nothing else but the bundle's files.

const KEPT = "regnet-edge key"; // a reloaded page goes on with the key it was given

/** The session that the page's address invites to, or null. */
export function invited() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  return token && location.protocol.startsWith("http") ? new Session(token) : null;
}

/** A connection to the computer; every call rejects with its sentence. */
export class Session {
  #token;
  #key = null;

  constructor(token) {
    this.#token = token;
  }

  /** Say which device this is; the computer then begins. */
  async greet(device) {
    const kept = sessionStorage.getItem(KEPT) ?? "";
    const { key } = await this.#post("greet", { token: this.#token, key: kept, device });
    this.#key = key;
    sessionStorage.setItem(KEPT, key);
  }

  /** The next { id, job, place }, or null when the computer has no more; waits as long as it has none yet. */
  async next() {
    for (;;) {
      const { job, over } = await this.#post("next", {});
      if (over) return null;
      if (job) return job;
    }
  }

  /** What is done at the moment, for the terminal. */
  tell(id, sentence) {
    return this.#post("progress", { id, sentence }).catch(() => {}); // progress is no reason to stop
  }

  /** The job's Observation. */
  answer(id, observation) {
    return this.#post("observation", { id, observation });
  }

  /** Why the job cannot be done. */
  refuse(id, sentence) {
    return this.#post("failure", { id, sentence });
  }

  async #post(what, body) {
    const headers = { "Content-Type": "application/json", ...(this.#key ? { "X-Key": this.#key } : {}) };
    const request = { method: "POST", headers, body: JSON.stringify(body) };
    const answer = await fetch(`session/${what}`, request).catch(() => null);
    if (!answer) throw new Error("the computer does not answer; is it still measuring, and on the same network?");
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(said.error ?? `the computer says ${answer.status}`);
    return said;
  }
}
