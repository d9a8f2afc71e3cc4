// Whether samples gather around more than one value (docs/verdict.md, "modes").

import { percentile } from "./metrics.js";

const POINTS = 512;
const APART = 0.05; // of the logarithm: 5 %
const MASS = 0.25;

/** The values in ms around which the samples gather, one or more. */
export function modesOf(samplesMs) {
  const every = samplesMs.map(Math.log);
  const [low, q1, q3, high] = [1, 25, 75, 99].map((q) => percentile(every, q));
  const x = every.filter((v) => v >= low && v <= high);
  const width = 0.9 * Math.max(Math.min(deviation(x), (q3 - q1) / 1.34), 1e-3) * x.length ** -0.2;
  const grid = evenly(low - 3 * width, high + 3 * width);
  return peaks(x, grid, density(x, grid, width)).map((i) => Math.round(Math.exp(grid[i]) * 1e9) / 1e9);
}

function deviation(x) {
  const mean = x.reduce((a, b) => a + b, 0) / x.length;
  return Math.sqrt(x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / x.length);
}

function evenly(from, to) {
  const step = (to - from) / (POINTS - 1);
  return Array.from({ length: POINTS }, (_, i) => (i === POINTS - 1 ? to : i * step + from));
}

/** A Gaussian kernel density on the grid, from a histogram, so that its cost does not grow with the samples. */
function density(x, grid, width) {
  const step = grid[1] - grid[0];
  const edges = [...grid.map((g) => g - step / 2), grid.at(-1) + step / 2];
  const counts = new Array(POINTS).fill(0);
  for (const v of x) counts[binOf(v, edges)] += 1;
  const kernel = gaussian(width / step);
  return grid.map((_, i) => {
    let sum = counts[i] * kernel[0];
    for (let k = kernel.length - 1; k > 0; k--) sum += ((counts[i - k] ?? 0) + (counts[i + k] ?? 0)) * kernel[k];
    return sum;
  });
}

/** Half of a Gaussian kernel, from its middle to four deviations, whose whole sums to 1 (as scipy has it). */
function gaussian(deviationInSteps) {
  const radius = Math.floor(4 * deviationInSteps + 0.5);
  const half = Array.from({ length: radius + 1 }, (_, k) => Math.exp(-0.5 * (k / deviationInSteps) ** 2));
  const sum = half.reduce((a, b) => a + 2 * b, -half[0]);
  return half.map((v) => v / sum);
}

function binOf(value, edges) {
  let low = 0;
  let high = POINTS - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (edges[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

function peaks(x, grid, dense) {
  const kept = [];
  for (const i of summits(dense)) {
    const last = kept.at(-1);
    if (last === undefined || isApart(x, grid, dense, last, i)) kept.push(i);
    else if (dense[i] > dense[last]) kept[kept.length - 1] = i;
  }
  return kept;
}

/** Local maxima; of a flat one its middle. */
function summits(dense) {
  const found = [];
  for (let i = 1; i < POINTS - 1; i++) {
    if (dense[i] <= dense[i - 1]) continue;
    let end = i;
    while (end < POINTS - 1 && dense[end + 1] === dense[i]) end += 1;
    if (end < POINTS - 1 && dense[end + 1] < dense[i]) found.push(Math.floor((i + end) / 2));
    i = end;
  }
  return found;
}

/** Whether two peaks lie far enough apart, with a deep valley between and enough samples on both its sides. */
function isApart(x, grid, dense, left, right) {
  let valley = left;
  for (let i = left; i < right; i++) if (dense[i] < dense[valley]) valley = i;
  const below = x.filter((v) => v <= grid[valley]).length / x.length;
  const deep = dense[valley] < 0.6 * Math.min(dense[left], dense[right]);
  return deep && grid[right] - grid[left] >= APART && Math.min(below, 1 - below) >= MASS;
}
