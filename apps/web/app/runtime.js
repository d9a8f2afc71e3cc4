// The page's side of a worker: asks it, waits with a limit, and ends it.

import { workerParts } from "./assets.js";

const START_LIMIT_S = 90; // a threaded runtime that cannot start its threads never answers
const LOAD_LIMIT_S = 120;
const READY = "ready"; // what a worker says, unasked, when it listens

/** A LiteRT.js runtime in a worker of its own. `close()` ends it whatever it is doing. */
export class Runtime {
  #worker;
  #ready;
  #asked = new Map();
  #next = 0;

  /** A fresh runtime with so many threads; rejects with a sentence where it cannot start. */
  static async start({ threads = 1 } = {}) {
    if (threads > 1 && !globalThis.crossOriginIsolated) {
      throw new Error("this page has one thread only; open it by https, or on this machine, to use more");
    }
    const parts = await workerParts(threads);
    const runtime = new Runtime(parts.script);
    try {
      await runtime.#ready;
      await runtime.#ask("start", { ...parts.litert, threads }, { limit: START_LIMIT_S });
    } catch (error) {
      runtime.close();
      throw new Error(`the runtime did not start (${error.message}); reload the page, or try another browser`);
    }
    runtime.build = parts.build;
    return runtime;
  }

  /** A fresh runtime that has loaded the model's file; `bytes` stay the caller's. */
  static async of(bytes, { threads = 1 } = {}) {
    const runtime = await Runtime.start({ threads });
    try {
      runtime.loaded = await runtime.#ask("load", { bytes }, { limit: LOAD_LIMIT_S });
    } catch (error) {
      runtime.close();
      throw new Error(`the file cannot be loaded (${error.message}); make the bundle again`);
    }
    return runtime;
  }

  constructor(script) {
    this.#worker = new Worker(script);
    this.#ready = this.#promise(READY, { limit: START_LIMIT_S });
    this.#worker.onmessage = ({ data }) => this.#settle(data);
    this.#worker.onerror = (event) => this.#fail(event.message || "its worker did not start");
  }

  /** { logits, run_ns } of one input in the file's own order. */
  infer(input) {
    return this.#ask("infer", { input });
  }

  /** What a series of runs showed, as the worker tells it; `tell` hears of progress. */
  observe(job, input, warmup_max_ns, tell) {
    const { load_ns } = this.loaded;
    return this.#ask("observe", { job, input, load_ns, warmup_max_ns }, { tell });
  }

  /** { first_ns } of this runtime's first run. */
  once(input) {
    return this.#ask("once", { input });
  }

  /** { tick_ns, reference_ns } of a worker. */
  clock() {
    return this.#ask("clock", {});
  }

  /** End the worker; what it was asked is never answered, but rejected. */
  close() {
    this.#worker.terminate();
    this.#fail("it was ended");
  }

  #ask(ask, message, options = {}) {
    const id = this.#next++;
    this.#worker.postMessage({ id, ask, ...message });
    return this.#promise(id, options);
  }

  #promise(id, { tell = () => {}, limit = 0 }) {
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error(`no answer within ${limit} s`));
      this.#asked.set(id, { resolve, reject, tell, timer: limit ? setTimeout(late, limit * 1000) : 0 });
    });
  }

  #settle({ id, ok, error, progress }) {
    const asked = this.#asked.get(id);
    if (!asked) return;
    if (progress) {
      asked.tell(progress);
      return;
    }
    this.#asked.delete(id);
    clearTimeout(asked.timer);
    if (error === undefined) asked.resolve(ok);
    else asked.reject(new Error(error));
  }

  #fail(reason) {
    for (const { reject, timer } of this.#asked.values()) {
      clearTimeout(timer);
      reject(new Error(reason));
    }
    this.#asked.clear();
  }
}
