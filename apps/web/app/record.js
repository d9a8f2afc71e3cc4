// Records in the command line's schema (schemas/measurement.schema.json): one JSON line a measurement.

import { median, percentile } from "./metrics.js";

const VERSION = 1;
const SOME = 0.25; // of the fixed loops slow: the series was disturbed
const SLOW = 1.06;

/**
 * What several fresh workers saw, as one Observation.
 *
 * A worker that hardly had a calm moment counts whole by itself; where another one had some, its samples are
 * set aside like those of the other that were disturbed.
 */
export function merged(seen) {
  if (seen.length === 1) return seen[0];
  const usual = Math.min(...seen.map((s) => s.environment.reference_ns ?? Infinity));
  const calm = seen.map(hadCalm);
  const counted = calm.map((is) => is || !calm.some(Boolean));
  const kept = seen.map(({ timing }, i) => (counted[i] ? timing.samples_ns : []));
  const aside = seen.map(({ timing }, i) => (counted[i] ? timing.set_aside_ns : timing.samples_ns));
  const joined = (of) => seen.flatMap(of);
  let before = 0;
  const looks = joined(({ environment }, i) => {
    const begin = before;
    before += kept[i].length;
    return environment.looks.map((look) => ({
      ...look, process: i, samples: begin + (counted[i] ? look.samples : 0),
    }));
  });
  return {
    ...seen[0],
    timing: {
      loads_ns: joined((s) => s.timing.loads_ns),
      first_runs_ns: joined((s) => s.timing.first_runs_ns),
      warmup_ns: seen.map((s) => s.timing.warmup_ns).reduce((a, b) => (sum(b) > sum(a) ? b : a)),
      samples_ns: kept.flat(),
      set_aside_ns: aside.flat(),
      loops_ns: joined((s) => s.timing.loops_ns),
      slices: joined((s, i) => (i ? [0, ...s.timing.slices] : s.timing.slices)),
      runs_each: kept.map((part) => part.length),
      runs_per_sample: Math.max(...seen.map((s) => s.timing.runs_per_sample ?? 1)),
    },
    environment: {
      ...seen[0].environment,
      looks,
      reference_ns: Number.isFinite(usual) ? usual : null,
      hidden_ns: sum(seen.map((s) => s.environment.hidden_ns)),
    },
  };
}

function hadCalm({ timing, environment }) {
  const usual = environment.reference_ns;
  if (timing.set_aside_ns.length || usual === null || !timing.loops_ns.length) return true;
  return timing.loops_ns.filter((ns) => ns > SLOW * usual).length / timing.loops_ns.length < SOME;
}

function sum(values) {
  return values.reduce((a, b) => a + b, 0);
}

/** A whole record of what was seen of a model. */
export function recordOf({ model, device, plan, seen, validity, about }) {
  const { runtime, timing, memory, environment } = seen;
  return {
    version: VERSION,
    summary: summaryOf(timing),
    model: model.subject.model,
    artifact: model.subject.artifact,
    device, plan, runtime, timing, memory, environment, validity,
    provenance: {
      utc: new Date().toISOString().replace(/\.\d+Z$/, "+00:00"),
      command: ["the web page"],
      tool_versions: about.tool_versions,
      git_revision: null,
    },
    parity: null,
  };
}

function summaryOf({ samples_ns: samples, loads_ns: loads, first_runs_ns: firsts }) {
  const ms = (ns) => Math.round(ns) / 1e6;
  return {
    runs: samples.length,
    p5_ms: ms(percentile(samples, 5)),
    p50_ms: ms(median(samples)),
    p90_ms: ms(percentile(samples, 90)),
    min_ms: ms(percentile(samples, 0)),
    max_ms: ms(percentile(samples, 100)),
    load_ms: ms(median(loads)),
    first_run_ms: ms(median(firsts)),
  };
}

/** JSON lines, as `regnet-edge report` and `law` read them. */
export function asLines(records) {
  return records.map((record) => `${JSON.stringify(record)}\n`).join("");
}
