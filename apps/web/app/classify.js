// From a picture to names: preprocessing, one run, and the top five, each with its milliseconds.

import { topOf } from "./metrics.js";
import { preprocessed } from "./preprocessing.js";

/** { top, logits, preprocess_ms, run_ms } of RGB pixels on a runtime that has loaded the model. */
export async function classified(pixels, model, runtime) {
  const began = performance.now();
  const { input, pixels: seen } = preprocessed(pixels, model.preprocessing);
  const ordered = model.ordered(input, runtime);
  const preprocess_ms = performance.now() - began;
  const { logits, run_ns } = await runtime.infer(ordered);
  const top = topOf(logits).map(({ index, probability }) => ({ name: model.label(index), index, probability }));
  return { top, logits, preprocess_ms, run_ms: run_ns / 1e6, seen };
}
