// A series of timed runs in this worker, as the command line's runner takes it (benchmarks/runner).
//
// Warm-up until steady; then slices of runs with a fixed loop timed on both sides of each, so that a run
// during which something slowed the CPU can be told from a calm one. A browser's clock may tick in 0.1 ms:
// a sample is then the mean of as many runs as make its error small.

import { median, percentile } from "./metrics.js";

const NS_PER_MS = 1e6;
const PIECE_NS = 250e6; // the page is told of progress, and the machine looked at, after each piece
const PIECE_SAMPLES = 10;
const SLICE_NS = 1e6; // the fixed loop is timed after each slice of a piece
const SLOW = 1.06; // times the fixed loop's usual time
const CALM_NS = 25e6; // around a calm slice so few loops are slow:
const CALM_LOOPS = 2;
const CALM_SHARE = 0.25;
const PATIENCE = 8; // times the least time, that a burst waits for calm slices
const FEWEST_CALM = 5;
const WINDOW_SAMPLES = 8; // warm-up compares medians of windows of at least so many samples and so long
const WINDOW_NS = 100e6;
const STEADY = 0.02;
const TICKS_A_SAMPLE = 100; // a sample is so long that the clock's tick is at most 1 % of it
const TICKS_A_LOOP = 40; // a slow loop is 6 % longer: more than a tick
const LOOP_MS = 0.1;
const LOOP_PASSES = 20; // over the buffer: about LOOP_MS on a phone
const CRC_TABLE = Int32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});
const BUFFER = Uint8Array.from({ length: 4096 }, (_, i) => i % 256);

/** This worker's clock in ns. */
export function now() {
  return Math.round(performance.now() * NS_PER_MS);
}

/** The clock's tick in ns: the median of the steps it takes while one watches it. */
export function clockTick(clock = now) {
  const steps = [];
  let last = clock();
  while (steps.length < 25) {
    const next = clock();
    if (next > last) steps.push(next - last);
    last = next;
  }
  return median(steps);
}

/** A fixed loop of integer work that the first cache holds, made so long that the clock can see it. */
export class FixedLoop {
  constructor(tickNs, clock = now) {
    this.clock = clock;
    this.passes = LOOP_PASSES * Math.max(1, Math.ceil((TICKS_A_LOOP * tickNs) / (LOOP_MS * NS_PER_MS)));
    this.sink = 0; // what the loop computes, kept so that no compiler leaves the loop out
    for (let i = 0; i < 100; i++) this.#run(LOOP_PASSES); // the browser compiles what runs often
  }

  /** How long it takes, in ns. */
  time() {
    this.#run(2);
    const began = this.clock();
    this.#run(this.passes);
    return Math.max(1, this.clock() - began);
  }

  /** The median of several. */
  reference(repeats = 15) {
    return median(Array.from({ length: repeats }, () => this.time()));
  }

  #run(passes) {
    let crc = this.sink;
    for (let p = 0; p < passes; p++) {
      for (let i = 0; i < BUFFER.length; i++) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ BUFFER[i]) & 255];
    }
    this.sink = crc;
  }
}

/** How many runs make one sample: as few as the clock's tick allows for the fastest runs of the warm-up. */
export function runsPerSample(warmup, tickNs) {
  return Math.max(1, Math.ceil((TICKS_A_SAMPLE * tickNs) / percentile(warmup, 10)));
}

/** The same from a first look, before anything is warm. */
export async function firstGuess(run, tickNs, clock = now) {
  let runs = 1;
  for (;;) {
    const began = clock();
    for (let i = 0; i < runs; i++) await run();
    const taken = clock() - began;
    const wanted = TICKS_A_SAMPLE * tickNs;
    if (taken >= wanted / 2) return Math.max(1, Math.ceil((runs * wanted) / taken));
    runs *= 2;
  }
}

/** Times one sample: the mean time of a run, in whole ns. */
export function timer(run, runs, clock = now) {
  return async () => {
    const began = clock();
    for (let i = 0; i < runs; i++) await run();
    return Math.max(1, Math.round((clock() - began) / runs));
  };
}

/** Samples until the last three windows agree, for at most `longest` ns. */
export async function warmUp(sample, longest, clock = now) {
  const series = [];
  const medians = [];
  const began = clock();
  let opened = began;
  let window = 0;
  while (clock() - began < longest && !isSteady(medians)) {
    series.push(await sample());
    window += 1;
    if (window >= WINDOW_SAMPLES && clock() - opened >= WINDOW_NS) {
      medians.push(median(series.slice(-window)));
      window = 0;
      opened = clock();
    }
  }
  return series;
}

function isSteady(medians) {
  const last = medians.slice(-3);
  return last.length === 3 && Math.max(...last) <= Math.min(...last) * (1 + STEADY);
}

/** Pieces of samples with a look around before, between and after them; the pieces are made of slices. */
export class Series {
  constructor(job, loop, earlierReferences, clock = now) {
    Object.assign(this, { job, loop, earlierReferences, clock });
    this.loops = []; // the fixed loop's times
    this.loopsAt = []; // and when each ended
    this.slices = []; // slice i lies between loops i and i + 1; [] stands for a look
    this.looks = [];
    this.looked = []; // slices before each look
    this.samples = 0;
    this.began = clock();
  }

  /** Take the whole series; `tell(samples, seconds)` is called after each piece. */
  async take(sample, tell = () => {}) {
    this.#look();
    do {
      await sample(); // not counted: it warms the caches that the look has emptied
      await this.#piece(sample);
      this.#look();
      tell(this.samples, this.#seconds());
    } while (!this.#isOver());
    return this.#split();
  }

  /** The fixed loop's time when nothing slows it: of this series or, if lower, what is known already. */
  get usualNs() {
    const alone = this.job.threads === 1; // a runtime's own threads may still spin beside the loop
    const own = Math.round(percentile([...this.loops, ...(alone ? this.earlierReferences : [])], 10));
    return Math.min(own, (alone && this.job.reference_ns) || own);
  }

  #look() {
    this.looks.push({ phase: "during", at_ns: this.clock(), reference_ns: this.loop.reference() });
    this.looked.push(this.slices.length);
  }

  #time() {
    this.loops.push(this.loop.time());
    this.loopsAt.push(this.clock());
  }

  async #piece(sample) {
    if (this.loops.length) this.slices.push([]);
    this.#time();
    const [began, before] = [this.clock(), this.samples];
    while (this.samples < this.job.max_runs) {
      await this.#slice(sample);
      if (this.samples - before >= PIECE_SAMPLES && this.clock() - began >= PIECE_NS) return;
    }
  }

  async #slice(sample) {
    const taken = [];
    const began = this.clock();
    do taken.push(await sample());
    while (this.clock() - began < SLICE_NS && this.samples + taken.length < this.job.max_runs);
    this.slices.push(taken);
    this.samples += taken.length;
    this.#time();
  }

  #seconds() {
    return (this.clock() - this.began) / 1e9;
  }

  #isOver() {
    const { job } = this;
    const spent = this.#seconds();
    if (spent >= job.max_seconds || this.samples >= job.max_runs) return true;
    if (job.mode === "burst" && spent < PATIENCE * job.min_seconds) return this.#isEnough();
    return this.samples >= job.min_runs && spent >= job.min_seconds;
  }

  /** Whether the calm slices have the samples and the seconds that were asked for. */
  #isEnough() {
    const calm = this.#calm();
    const kept = this.slices.filter((_, i) => calm[i]).flat();
    const seconds = (kept.reduce((a, b) => a + b, 0) * this.runsPerSample) / 1e9;
    return kept.length >= this.job.min_runs && seconds >= 0.95 * this.job.min_seconds;
  }

  /** Of each slice, whether nothing slowed the CPU: no slow loop on either side, and few within CALM_NS. */
  #calm() {
    const usual = this.usualNs;
    const slow = this.loops.map((ns) => ns > SLOW * usual);
    const slowBefore = [0];
    for (const is of slow) slowBefore.push(slowBefore.at(-1) + is);
    const at = this.loopsAt;
    let first = 0;
    let last = 0;
    return this.slices.map((_, i) => {
      while (at[first] < at[i] - CALM_NS) first += 1;
      while (last < at.length && at[last] < at[i + 1] + CALM_NS) last += 1;
      const begin = Math.min(first, Math.max(i + 1 - CALM_LOOPS, 0));
      const end = Math.max(last, Math.min(i + 1 + CALM_LOOPS, at.length));
      const few = slowBefore[end] - slowBefore[begin] <= CALM_SHARE * (end - begin);
      return few && !slow[i] && !slow[i + 1];
    });
  }

  /** Which slices count: in a burst the calm ones, but all where hardly any is calm. */
  #kept() {
    const every = this.slices.map(() => true);
    if (this.job.mode !== "burst") return every;
    const calm = this.#calm();
    const samples = this.slices.filter((_, i) => calm[i]).flat().length;
    return samples >= Math.min(FEWEST_CALM, this.job.min_runs) ? calm : every;
  }

  /** Samples kept and set aside; every look is told how many were kept before it. */
  #split() {
    const kept = this.#kept();
    const samples = [];
    const aside = [];
    const before = [0];
    this.slices.forEach((taken, i) => {
      (kept[i] ? samples : aside).push(...taken);
      before.push(samples.length);
    });
    const looks = this.looks.map((look, i) => ({ ...look, samples: before[this.looked[i]] }));
    return { samples, aside, looks, loops: this.loops, slices: this.slices.map((taken) => taken.length) };
  }
}
