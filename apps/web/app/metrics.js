// How near two rows of logits are, and what they say.

/** Signal to quantization noise in dB: Infinity where nothing differs, NaN where a value is not a number. */
export function sqnrDb(reference, value) {
  let signal = 0;
  let noise = 0;
  for (let i = 0; i < reference.length; i++) {
    signal += reference[i] ** 2;
    noise += (reference[i] - value[i]) ** 2;
  }
  return noise === 0 ? Infinity : 10 * Math.log10(signal / noise);
}

/** The largest difference of two rows. */
export function maxAbsError(reference, value) {
  let worst = 0;
  for (let i = 0; i < reference.length; i++) {
    const apart = Math.abs(reference[i] - value[i]);
    if (!(apart <= worst)) worst = apart; // NaN is the worst
  }
  return worst;
}

/** The class of the largest logit. */
export function top1(logits) {
  return logits.reduce((best, v, i) => (v > logits[best] ? i : best), 0);
}

/** Probabilities of logits. */
export function softmax(logits) {
  const most = Math.max(...logits);
  const raised = Array.from(logits, (v) => Math.exp(v - most));
  const sum = raised.reduce((a, b) => a + b, 0);
  return raised.map((v) => v / sum);
}

/** The `count` most probable classes: [{ index, probability }], likeliest first; of logits or, if so, probabilities. */
export function topOf(answer, already = false, count = 5) {
  return (already ? Array.from(answer) : softmax(answer))
    .map((probability, index) => ({ index, probability }))
    .sort((a, b) => b.probability - a.probability || a.index - b.index)
    .slice(0, count);
}

/** The median of numbers. */
export function median(values) {
  return percentile(values, 50);
}

/** The q-th percentile (0 to 100), linear between neighbours as numpy has it. */
export function percentile(values, q) {
  const sorted = Float64Array.from(values).sort();
  const at = ((sorted.length - 1) * q) / 100;
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}
