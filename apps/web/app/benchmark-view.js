// The third view: measuring, for oneself or for a computer that asked (`regnet-edge benchmark --host web`).

import { measured, provedFirst } from "./benchmark.js";
import { describeDevice, keepAwake } from "./device.js";
import { byId, element, facts, percent, say, withButton } from "./dom.js";
import { readBundle } from "./models.js";
import { observed } from "./observe.js";
import { asLines } from "./record.js";
import { openTab } from "./tabs.js";

/** Bring the view to life; a session makes the page work for its computer. */
export function startBenchmark(bundle, proofs, session) {
  const view = new BenchmarkView(bundle, proofs);
  fillPlan(bundle.models);
  byId("plan").addEventListener("submit", (event) => {
    event.preventDefault();
    withButton(byId("plan-start"), () => view.measure(chosen(bundle.models)));
  });
  byId("cancel").addEventListener("click", () => view.cancel());
  startExport(view);
  if (session) view.serve(session);
}

function fillPlan(models) {
  byId("plan-models").append(...models.map((m, i) => check("model", i, m.name, true)));
  const cores = navigator.hardwareConcurrency ?? 1;
  const most = globalThis.crossOriginIsolated ? cores : 1;
  const counts = [1, 2, 4, 8].filter((n) => n <= most);
  byId("plan-threads").append(...counts.map((n) => check("threads", n, `${n}`, n === 1)));
  if (most === 1) {
    byId("plan-threads").append(
      element("p", { className: "quiet", textContent: "More threads need a page opened by https or on this machine." }),
    );
  }
}

function check(name, value, text, checked) {
  return element("label", {}, element("input", { type: "checkbox", name, value, checked }), text);
}

function chosen(models) {
  const values = (name) => [...document.querySelectorAll(`[name=${name}]:checked`)].map((box) => Number(box.value));
  return { models: values("model").map((i) => models[i]), threads: values("threads"), mode: byId("plan-mode").value };
}

class BenchmarkView {
  records = [];
  #bundle;
  #proofs;
  #abort = new AbortController();

  constructor(bundle, proofs) {
    this.#bundle = bundle;
    this.#proofs = proofs;
  }

  cancel() {
    this.#abort.abort();
  }

  /** Measure what was chosen; each record is shown as soon as it is there. */
  async measure(choice) {
    if (!choice.models.length || !choice.threads.length) throw new Error("choose at least one model and one number of threads");
    await this.#awake(async (signal) => {
      const context = { about: this.#bundle.about, proofs: this.#proofs, signal, tell: tellProgress };
      for await (const moment of measured(choice, context)) this.#take(moment);
      say(signal.aborted ? "Cancelled; what was measured stays." : "Done.");
    });
  }

  #take({ kind, index, count, model, threads, record, sentence }) {
    const place = `[${index + 1}/${count}] ${model.name}, ${threads} thread${threads > 1 ? "s" : ""}`;
    if (kind === "starting") {
      byId("benchmark-progress").value = index / count;
      doing(`${place}: measuring`);
    } else if (kind === "measured") {
      this.records.push(record);
      byId("records").append(recordCard(record));
      byId("export").hidden = false;
    } else {
      byId("records").append(failureCard(model.name, sentence));
    }
  }

  /** Work for the computer until it has no more jobs. */
  async serve(session) {
    openTab("benchmark");
    byId("plan").hidden = true;
    byId("session").hidden = false;
    const note = (text) => (byId("session").textContent = text);
    try {
      await session.greet(await describeDevice());
      note("Measuring for the computer. Leave this page open and in front.");
      await this.#awake((signal) => this.#jobs(session, signal));
      note("The computer has all it asked for. You may close this page.");
      say("Done.");
    } catch (error) {
      note("The session with the computer has ended.");
      say(error.message, true);
    }
  }

  async #jobs(session, signal) {
    for (let asked = await session.next(); asked; asked = await session.next()) {
      const { id, job, place } = asked;
      const tell = (sentence) => {
        doing(`${place}: ${sentence}`);
        return session.tell(id, sentence);
      };
      const live = seldom(({ samples, seconds }) => samples && tell(`${samples} samples in ${seconds.toFixed(0)} s`));
      try {
        if (signal.aborted) throw new Error("cancelled on the phone");
        const model = await this.#modelOf(job.artifact);
        if (!this.#proofs.has(model)) await tell("checking its output");
        await provedFirst(model, this.#proofs, seldom((share) => tell(`output checked to ${percent(share, 0)}`)));
        await tell("measuring");
        await session.answer(id, await observed(model, job, { about: this.#bundle.about, signal, tell: live }));
      } catch (error) {
        await session.refuse(id, signal.aborted ? "cancelled on the phone" : error.message);
      }
    }
  }

  /** The bundle's model of that file, read again where the computer has added it meanwhile. */
  async #modelOf(file) {
    const known = this.#bundle.models.find((m) => m.entry.file === file);
    if (known) return known;
    const found = (await readBundle()).models.find((m) => m.entry.file === file);
    if (!found) throw new Error(`the bundle has no ${file}`);
    this.#bundle.models.push(found);
    return found;
  }

  /** Do it with the screen kept on, a progress bar, and a button that ends it. */
  async #awake(work) {
    this.#abort = new AbortController();
    const shown = [byId("cancel"), byId("benchmark-progress")];
    const release = await keepAwake();
    shown.forEach((part) => (part.hidden = false));
    try {
      await work(this.#abort.signal);
    } finally {
      shown.forEach((part) => (part.hidden = true));
      doing("");
      release();
    }
  }
}

/** Calls it at most every two seconds: a sign of life for the computer, which costs the measurement little. */
function seldom(tell) {
  let last = -Infinity;
  return (progress) => {
    if (performance.now() - last < 2000) return;
    last = performance.now();
    tell(progress);
  };
}

function doing(text) {
  byId("doing").textContent = text;
}

function tellProgress({ samples, seconds }) {
  if (samples) byId("benchmark-progress").title = `${samples} samples in ${seconds.toFixed(0)} s`;
}

function recordCard({ artifact, plan, summary, validity, timing }) {
  const colors = { valid: "good", warnings: "warn", invalid: "bad" };
  const threads = `${plan.threads} thread${plan.threads > 1 ? "s" : ""}`;
  const reasons = validity.reasons.filter((r) => r.severity !== "note");
  return element(
    "li", {},
    element("h2", { textContent: `${artifact.file}, ${threads}` }),
    element("p", { className: "figure", textContent: `${summary.p50_ms.toPrecision(4)} ms` }),
    element("p", { className: colors[validity.verdict], textContent: validity.verdict }),
    ...reasons.map((r) => element("p", { className: "quiet", textContent: r.sentence })),
    facts([
      ["min", `${summary.min_ms.toPrecision(4)} ms`],
      ["p90", `${summary.p90_ms.toPrecision(4)} ms`],
      ["load", `${summary.load_ms.toPrecision(3)} ms`],
      ["samples", timing.runs_per_sample > 1 ? `${summary.runs}, each of ${timing.runs_per_sample} runs` : `${summary.runs}`],
    ]),
  );
}

function failureCard(name, sentence) {
  return element(
    "li", {},
    element("h2", { textContent: name }),
    element("p", { className: "bad", textContent: sentence }),
  );
}

function startExport(view) {
  const text = () => asLines(view.records);
  const file = () => new File([text()], "web-results.jsonl", { type: "application/x-ndjson" });
  byId("download").addEventListener("click", () => {
    const link = element("a", { href: URL.createObjectURL(file()), download: "web-results.jsonl" });
    link.click();
    URL.revokeObjectURL(link.href);
  });
  byId("copy").hidden = !navigator.clipboard;
  byId("copy").addEventListener("click", ({ target }) =>
    withButton(target, async () => {
      await navigator.clipboard.writeText(text());
      say("Copied.");
    }),
  );
  byId("share").hidden = !navigator.canShare?.({ files: [new File(["{}"], "a.jsonl", { type: "application/x-ndjson" })] });
  byId("share").addEventListener("click", ({ target }) => withButton(target, () => navigator.share({ files: [file()] })));
}
