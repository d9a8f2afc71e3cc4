// Runs a model with LiteRT.js off the page's thread. A new worker is a new runtime: the browser's fresh process.
//
// It is a classic worker, because LiteRT.js loads its WebAssembly by importScripts. The page sends
// { id, ask, ... }; the answer is { id, ok } or { id, error }, with { id, progress } before it.

import { FixedLoop, Series, clockTick, firstGuess, now, runsPerSample, timer, warmUp } from "./series.js";

const state = { litert: null, model: null, threads: 1 };

const answers = { start, load, infer, observe, once, clock };

self.onmessage = async ({ data }) => {
  try {
    const tell = (progress) => self.postMessage({ id: data.id, progress });
    self.postMessage({ id: data.id, ok: await answers[data.ask](data, tell) });
  } catch (error) {
    self.postMessage({ id: data.id, error: String(error?.message ?? error) });
  }
};

/**
 * Load the runtime: `core` and `loader` are scripts, as addresses or as bytes; wasm is its bytes, or null for
 * the file beside the loader.
 */
async function start({ core, loader, wasm, folder, threads }) {
  Object.defineProperty(self.navigator, "gpu", { value: undefined }); // no GPU is woken: the CPU is measured
  self.Module = wasm
    ? { wasmBinary: wasm }
    : { locateFile: (file) => folder + file, mainScriptUrlOrBlob: loader }; // without the last, threads hang
  const began = now();
  state.litert = await import(addressOf(core));
  await state.litert.loadLiteRt(addressOf(loader), threads > 1 ? { threads: true } : {});
  state.threads = threads;
  return { start_ns: now() - began };
}

/** A script's address; of bytes, one made here, because a page from a disk shares none with its workers. */
function addressOf(script) {
  if (typeof script === "string") return script;
  return `${URL.createObjectURL(new Blob([script], { type: "text/javascript" }))}#.js`; // LiteRT.js wants .js
}

/** From the file's bytes to a network that can run. */
async function load({ bytes }) {
  const began = now();
  state.model = await state.litert.loadAndCompile(bytes, {
    accelerator: "wasm",
    ...(state.threads > 1 ? { cpuOptions: { numThreads: state.threads } } : {}),
  });
  const load_ns = Math.max(1, now() - began);
  const described = ({ dtype, shape }) => ({ dtype, shape: [...shape] });
  return {
    load_ns,
    inputs: state.model.getInputDetails().map(described),
    outputs: state.model.getOutputDetails().map(described),
  };
}

/** Logits of one input, and how long the run took. */
async function infer({ input }) {
  const tensor = tensorOf(input);
  const began = now();
  const logits = await outputOf(tensor);
  const run_ns = now() - began;
  tensor.delete();
  return { logits, run_ns };
}

/** The clock's tick, and the fixed loop's time. */
async function clock() {
  const tick_ns = clockTick();
  return { tick_ns, reference_ns: new FixedLoop(tick_ns).reference() };
}

/** A warm series: what `series.js` takes, with the time of the first run. */
async function observe({ job, input, load_ns, warmup_max_ns }, tell) {
  const tick = clockTick();
  const loop = new FixedLoop(tick);
  const before = { phase: "before", at_ns: now(), reference_ns: loop.reference(), samples: 0 };
  const tensor = tensorOf(input);
  const first_ns = Math.max(tick, await timer(() => run(tensor), 1)()); // below a tick nobody knows
  const output = job.want_output ? await outputOf(tensor) : null;
  const guess = await firstGuess(() => run(tensor), tick);
  const warmup = await warmUp(timer(() => run(tensor), guess), warmup_max_ns);
  const runs = runsPerSample(warmup, tick);
  const sample = timer(() => run(tensor), runs);
  tell({ warm: true });
  const series = new Series(job, loop, [before.reference_ns]);
  series.runsPerSample = runs;
  const taken = await series.take(sample, (samples, seconds) => tell({ samples, seconds }));
  const after = { phase: "after", at_ns: now(), reference_ns: loop.reference(), samples: taken.samples.length };
  tensor.delete();
  return {
    timing: {
      loads_ns: [load_ns],
      first_runs_ns: [first_ns],
      warmup_ns: warmup,
      samples_ns: taken.samples,
      set_aside_ns: taken.aside,
      loops_ns: taken.loops,
      slices: taken.slices,
      runs_per_sample: runs,
    },
    looks: [before, ...taken.looks, after],
    reference_ns: series.usualNs,
    clock_tick_ns: Math.round(tick),
    output,
  };
}

/** One run, for mode cold: the first of this worker. */
async function once({ input }) {
  const tensor = tensorOf(input);
  const first_ns = await timer(() => run(tensor), 1)();
  tensor.delete();
  return { first_ns };
}

function tensorOf(input) {
  return new state.litert.Tensor(input, state.model.getInputDetails()[0].shape);
}

async function run(tensor) {
  for (const out of await state.model.run([tensor])) out.delete();
}

async function outputOf(tensor) {
  const [first, ...others] = await state.model.run([tensor]);
  const values = Float32Array.from(await first.data());
  for (const out of [first, ...others]) out.delete();
  return values;
}

self.postMessage({ id: "ready", ok: true });
