// From a picture to names: preprocessing, one run, and the top five, each with its milliseconds.

import { topOf } from "./metrics.js";
import { fitted, normalized } from "./preprocessing.js";

/** { top, logits, preprocess_ms, run_ms } of RGB pixels on a runtime that has loaded the model. */
export async function classified(pixels, model, runtime) {
  const began = performance.now();
  const seen = fitted(pixels, model.preprocessing);
  const plain = () => model.ordered(normalized(seen, model.preprocessing), runtime);
  const ordered = model.takesPixels(runtime) ? Uint8Array.from(seen.data) : plain();
  const preprocess_ms = performance.now() - began;
  const { logits, run_ns } = await runtime.infer(ordered);
  const top = topOf(logits, model.givesProbabilities).map(({ index, probability }) => ({ name: model.label(index), index, probability }));
  return { top, logits, preprocess_ms, run_ms: run_ns / 1e6, seen };
}
