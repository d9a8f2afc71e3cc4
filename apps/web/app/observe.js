// One observation: a model measured in a fresh worker, as the command line's runner would report it.

import { HiddenTime, browserName, power } from "./device.js";

const NO_POWER = { charging: null, percent: null, battery_c: null, saver: null };

/** The input every target computes by itself, in NCHW order: x[i] = (i * 2654435761 mod 2^32) / 2^30 - 2. */
export function fixedInput(shape) {
  const n = shape.reduce((a, b) => a * b, 1);
  return Float32Array.from({ length: n }, (_, i) => (Math.imul(i, 2654435761) >>> 0) / 2 ** 30 - 2);
}

/**
 * The Observation of a job, whose fields are those of schemas/job.schema.json.
 *
 * tell hears of progress; `stop.signal` ends the worker at once, and then this rejects.
 */
export async function observed(model, job, { about, tell = () => {}, signal } = {}) {
  const hidden = new HiddenTime();
  const before = await power();
  try {
    const measure = job.mode === "cold" ? coldSeries : warmSeries;
    const seen = await measure(model, job, { about, tell, signal });
    return observation(seen, { about, before, after: await power(), hidden: hidden.ms });
  } finally {
    hidden.stop();
  }
}

async function warmSeries(model, job, { about, tell, signal }) {
  return inWorker(model, job, signal, async (runtime, input) => ({
    ...(await runtime.observe(job, input, Math.min(about.warmup_max_ns, job.max_seconds * 1e9), tell)),
    build: runtime.build,
  }));
}

/** Every sample is the first run in a worker of its own. */
async function coldSeries(model, job, { tell, signal }) {
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  const loads = [];
  const firsts = [];
  const looks = [];
  let build, clock, output;
  const look = async (phase, runtime) => {
    clock = await runtime.clock();
    const { tick_ns, reference_ns } = clock;
    looks.push({ phase, at_ns: Math.round(performance.now() * 1e6), reference_ns, samples: firsts.length, tick_ns });
  };
  while (firsts.length < job.min_runs && (firsts.length === 0 || seconds() < job.max_seconds)) {
    await inWorker(model, job, signal, async (runtime, input) => {
      if (!firsts.length) await look("during", runtime);
      const { first_ns } = await runtime.once(input);
      if (!firsts.length && job.want_output) output = (await runtime.infer(input)).logits;
      loads.push(runtime.loaded.load_ns);
      firsts.push(Math.max(first_ns, clock.tick_ns));
      await look("during", runtime);
      build = runtime.build;
    });
    tell({ samples: firsts.length, seconds: seconds() });
  }
  return {
    timing: { loads_ns: loads, first_runs_ns: firsts, warmup_ns: [], samples_ns: firsts },
    looks: looks.map(({ tick_ns, ...rest }) => rest),
    reference_ns: null,
    clock_tick_ns: Math.round(clock.tick_ns),
    output: output ?? null,
    build,
  };
}

/** What `use` returns of a fresh runtime and the fixed input; the worker ends with it, or with the signal. */
async function inWorker(model, job, signal, use) {
  signal?.throwIfAborted();
  const runtime = await model.runtime({ threads: job.threads });
  const end = () => runtime.close();
  signal?.addEventListener("abort", end);
  try {
    return await use(runtime, model.fixed(fixedInput(job.input_shape), runtime));
  } finally {
    signal?.removeEventListener("abort", end);
    runtime.close();
  }
}

function observation({ timing, looks, output, build, ...seen }, { about, before, after, hidden }) {
  const browser = browserName();
  const last = looks.length - 1;
  return {
    runtime: {
      name: about.runtime.name,
      version: about.runtime.version,
      accelerator: "cpu",
      delegated_ops: null,
      total_ops: null,
      partitions: null,
      host_versions: { [browser.name]: browser.version, build },
    },
    timing: { set_aside_ns: [], loops_ns: [], slices: [], ...timing },
    memory: null,
    environment: {
      ticks_per_s: null,
      pinned: [],
      looks: looks.map((look, i) => ({
        own_cpu_ns: null,
        ...look,
        at_ns: Math.round(look.at_ns),
        reference_ns: Math.round(look.reference_ns),
        power: i === 0 ? before : i === last ? after : NO_POWER,
      })),
      reference_ns: seen.reference_ns,
      clock_tick_ns: seen.clock_tick_ns,
      isolated: globalThis.crossOriginIsolated === true,
      hidden_ns: Math.round(hidden * 1e6),
    },
    output: output ? Array.from(output) : null,
  };
}
