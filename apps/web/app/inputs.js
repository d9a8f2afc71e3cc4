// What the verdict's rules read of an observation; docs/verdict.md says of each input how it is computed.
//
// What a browser cannot know (other processes, clocks, heat) is left out, and the rules that read it are not judged.

import { median, percentile } from "./metrics.js";
import { modesOf } from "./modes.js";

const NS_PER_S = 1e9;
const NS_PER_MS = 1e6;
const SLOW = 1.06; // times the fixed loop's usual time
const CALM_PER_MS = 0.03; // so much of a burst has to be calm for each ms of a slice
const CALM = 0.9;
const FEWEST = 10; // samples whose shape says something
const PIECES = 32;

/** Every input that is known, by its name in rules.json. */
export function inputsOf(seen, plan, device) {
  const found = {
    mode: plan.mode,
    accelerator: seen.runtime.accelerator,
    runtime: seen.runtime.name,
    phone: { adb: true, app: true, local: false, ssh: false }[device.transport],
    min_runs: plan.min_runs,
    others_seen: false, // a browser tells nothing of them
    pinned: seen.environment.pinned.length > 0,
    cooling_first: 0, // and lists no device that cools
    cooling_max: 0,
    ...powerInputs(seen.environment.looks),
    loop_fall: loopFall(seen, plan),
    ...calmInputs(seen),
    ...processInputs(seen.timing),
    ...seriesInputs(seen, plan),
    ...pageInputs(seen),
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== null && value !== undefined));
}

function powerInputs(looks) {
  const told = (name) => looks.map((look) => look.power?.[name] ?? null).filter((v) => v !== null);
  const any = (values) => (values.length ? values.some(Boolean) : null);
  const percents = told("percent");
  return {
    saver: any(told("saver")),
    charging: any(told("charging")),
    battery_percent: percents.length ? Math.min(...percents) : null,
  };
}

/** How far the fixed loop's speed fell; of a burst its fastest quarter has to have fallen. */
function loopFall({ timing, environment }, { mode }) {
  const known = environment.reference_ns ? 1 / environment.reference_ns : 0;
  const speeds = (times) => times.filter(Boolean).map((ns) => 1 / ns);
  if (timing.loops_ns?.length && mode === "burst") return fall(speeds(timing.loops_ns), known, 75);
  return fall(speeds(besideSamples(environment.looks).map((look) => look.reference_ns)), known, 50);
}

/** The timed looks that are next to a piece that was kept. */
function besideSamples(looks) {
  const timed = looks.filter((look) => look.phase === "during");
  const count = (i) => timed[Math.min(Math.max(i, 0), timed.length - 1)].samples;
  return timed.filter((_, i) => count(i - 1) < count(i) || count(i) < count(i + 1));
}

/** How far a percentile of the last third lies below the plateau; null for few readings. */
function fall(speeds, known, end) {
  if (speeds.length < 4) return null;
  const plateau = Math.max(percentile(speeds, 75), known);
  return 1 - percentile(speeds.slice(-Math.floor(speeds.length / 3)), end) / plateau;
}

function calmInputs({ timing, environment }) {
  const kept = total(timing.samples_ns);
  const aside = total(timing.set_aside_ns ?? []);
  const slices = (timing.slices ?? []).filter((n) => n > 0).length;
  const loops = timing.loops_ns ?? [];
  const usual = environment.reference_ns;
  const slow = loops.filter((ns) => ns > SLOW * usual).length;
  return {
    set_aside: (timing.set_aside_ns ?? []).length > 0,
    kept_share: kept / (kept + aside),
    aside_share: 1 - kept / (kept + aside),
    kept_wanted: slices ? Math.min(CALM, (CALM_PER_MS * (kept + aside)) / slices / NS_PER_MS) : 0,
    disturbed_share: usual ? (loops.length ? slow / loops.length : 0) : null,
  };
}

/** How uncertain the figure is because fresh workers have other medians. */
function processInputs({ samples_ns: samples, runs_each: each = [] }) {
  let begin = 0;
  const parts = each.map((n) => samples.slice(begin, (begin += n))).filter((part) => part.length);
  if (parts.length < 2) return {};
  const medians = parts.map((part) => median(part));
  const mean = total(medians) / medians.length;
  const deviation = Math.sqrt(total(medians.map((m) => (m - mean) ** 2)) / (medians.length - 1));
  return {
    processes_error: (2 * deviation) / Math.sqrt(medians.length) / median(samples),
    process_low_ms: Math.min(...medians) / NS_PER_MS,
    process_high_ms: Math.max(...medians) / NS_PER_MS,
  };
}

function seriesInputs({ timing, runtime }, plan) {
  const samples = timing.samples_ns;
  const enough = samples.length >= FEWEST;
  const warmUp = total(timing.warmup_ns) / NS_PER_S;
  const modes = enough ? modesOf(samples.map((ns) => ns / NS_PER_MS)) : null;
  return {
    drift: driftOf(samples),
    warm_up_s: warmUp,
    warm_up_share: (warmUp * plan.processes) / plan.max_seconds,
    runs: samples.length,
    modes: modes?.length,
    modes_ms: modes,
    p90_over_median: enough ? percentile(samples, 90) / median(samples) : null,
    tool_runs_per_sample: Number(runtime.host_versions?.runs_per_sample ?? 1),
    runs_per_sample: timing.runs_per_sample ?? 1,
  };
}

/** How much slower the series became: Sen's slope (1968) between the medians of its pieces. */
function driftOf(samples) {
  const count = Math.min(PIECES, samples.length);
  if (count < 3) return 0;
  let begin = 0;
  let time = 0;
  const points = Array.from({ length: count }, (_, i) => {
    const size = Math.floor(samples.length / count) + (i < samples.length % count ? 1 : 0);
    const piece = samples.slice(begin, (begin += size));
    const length = total(piece);
    time += length;
    return { at: time - length / 2, value: median(piece) };
  });
  const slopes = points.flatMap((a, i) => points.slice(i + 1).map((b) => (b.value - a.value) / (b.at - a.at)));
  return (median(slopes) * total(samples)) / median(samples);
}

function pageInputs({ timing, environment }) {
  const { hidden_ns: hidden = null, clock_tick_ns: tick = null } = environment;
  const sample = median(timing.samples_ns) * (timing.runs_per_sample ?? 1);
  return {
    hidden_s: hidden === null ? null : hidden / NS_PER_S,
    tick_share: tick === null ? null : tick / sample,
  };
}

function total(values) {
  return values.reduce((a, b) => a + b, 0);
}
