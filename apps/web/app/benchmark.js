// Measures models by themselves: every model x threads in fresh workers, forwards and then backwards.

import { describeDevice } from "./device.js";
import { observed } from "./observe.js";
import { merged, recordOf } from "./record.js";
import { judged } from "./verdict.js";

const ROUNDS = 2;

/**
 * Does the visits and tells of each: { kind, index, count, model, threads, sentence, record }.
 *
 * kind is starting, progress, measured or failed. A model that computes something else than its golden logits
 * is not measured. Ends early where `signal` aborts; what was measured before stays.
 */
export async function* measured({ models, threads, mode }, { about, proofs, signal, tell }) {
  const device = await describeDevice();
  const trials = models.flatMap((model) => threads.map((count) => ({ model, threads: count })));
  const visits = Array.from({ length: ROUNDS }, (_, round) =>
    (round % 2 ? [...trials].reverse() : trials).map((trial) => ({ ...trial, round })),
  ).flat();
  const failed = new Set();
  for (const [index, visit] of visits.entries()) {
    const key = `${visit.model.name} ${visit.threads}`;
    if (signal.aborted || failed.has(key)) continue;
    const moment = { ...visit, index, count: visits.length };
    yield { ...moment, kind: "starting" };
    try {
      await provedFirst(visit.model, proofs);
      const record = await measuredOnce(visit, { device, mode, about, signal, tell });
      yield { ...moment, kind: "measured", record };
    } catch (error) {
      failed.add(key);
      yield { ...moment, kind: "failed", sentence: signal.aborted ? "cancelled" : error.message };
    }
  }
}

/** Rejects for a model whose output is wrong here: its latency would be that of something else. */
export async function provedFirst(model, proofs, tell) {
  const proof = await proofs.of(model, tell);
  if (!proof.passed) {
    throw new Error(`${model.name} does not compute what the definition does here: ${proof.failures.join("; ")}`);
  }
}

async function measuredOnce({ model, threads, round }, { device, mode, about, signal, tell }) {
  const plan = about.plans[mode];
  const n = plan.processes;
  const seen = [];
  for (let i = 0; i < n; i++) {
    const job = jobOf(model, plan, threads, usualOf(seen));
    seen.push(await observed(model, job, { about, signal, tell: (progress) => tell({ ...progress, share: i / n }) }));
  }
  const whole = merged(seen);
  const asked = { ...plan, threads, round, attempt: 0 };
  return recordOf({
    model, device, plan: asked, seen: whole, about, validity: judged(whole, asked, device, about.rules),
  });
}

/** The job of one of the plan's processes, which share its runs and seconds. */
function jobOf(model, plan, threads, reference_ns) {
  const n = plan.processes;
  return {
    mode: plan.mode,
    threads,
    min_runs: Math.ceil(plan.min_runs / n),
    max_runs: 200_000,
    min_seconds: plan.min_seconds / n,
    max_seconds: plan.max_seconds / n,
    input_shape: model.inputShape,
    want_output: false,
    reference_ns,
  };
}

function usualOf(seen) {
  const known = seen.map((s) => s.environment.reference_ns).filter(Boolean);
  return known.length ? Math.min(...known) : null;
}
