// The bundle's models: each a file, its sidecar, and its golden data; read once, checked before use.

import { bytesOf, jsonOf } from "./assets.js";
import { channelsLast, pixelsOfInput } from "./preprocessing.js";
import { Runtime } from "./runtime.js";
import { sha256 } from "./sha256.js";

/** { about, models }: the facts of the bundle, and its models in order. */
export async function readBundle() {
  const [index, about, rules] = await Promise.all(["index.json", "bundle.json", "rules.json"].map(jsonOf));
  const models = await Promise.all(index.artifacts.map((entry) => Model.read(entry, about.subjects)));
  return { about: { ...about, rules }, models };
}

/** One artifact of the bundle. */
export class Model {
  #bytes = null;

  static async read(entry, subjects) {
    return new Model(entry, await jsonOf(entry.sidecar), subjects[entry.file]);
  }

  constructor(entry, sidecar, subject) {
    this.entry = entry;
    this.sidecar = sidecar;
    this.subject = subject; // what a record says of the model and of the file
  }

  get name() {
    return this.sidecar.file;
  }

  get precision() {
    return this.sidecar.request.precision;
  }

  get preprocessing() {
    return this.sidecar.request.model.preprocessing;
  }

  /** The name of a class. */
  label(index) {
    return this.sidecar.request.model.labels?.[index] ?? `class ${index}`;
  }

  /** N, C, H, W of its input. */
  get inputShape() {
    const { model, batch } = this.sidecar.request;
    const side = model.preprocessing.resolution;
    return [batch, model.config.in_channels, side, side];
  }

  /** The file's bytes; rejects where they are not those that the sidecar describes. */
  async bytes() {
    if (!this.#bytes) {
      const bytes = await bytesOf(this.entry.file);
      if (sha256(bytes) !== this.sidecar.sha256) {
        throw new Error(`${this.name} is not the file its sidecar describes (damaged?); make the bundle again`);
      }
      this.#bytes = bytes;
    }
    return this.#bytes;
  }

  /** A fresh runtime that has loaded the file. */
  async runtime(options) {
    return Runtime.of(await this.bytes(), options);
  }

  /** Whether the file answers with probabilities instead of logits. */
  get givesProbabilities() {
    return this.sidecar.structure.output === "probabilities";
  }

  /** Whether the file that a runtime has loaded takes pixels, bytes in NHWC order. */
  takesPixels(runtime) {
    return runtime.loaded.inputs[0].dtype === "uint8";
  }

  /** The fixed input as the file takes it; as pixels it is floor(64 (x + 2)). */
  fixed(input, runtime) {
    if (!this.takesPixels(runtime)) return this.ordered(input, runtime);
    const steps = channelsLast(input, this.inputShape[1]);
    return Uint8Array.from(steps, (x) => Math.min(255, Math.floor((x + 2) * 64)));
  }

  /** NCHW values in the order of the file that a runtime has loaded: the pixels they were, where it takes those. */
  ordered(input, runtime) {
    if (this.takesPixels(runtime)) return pixelsOfInput(input, this.preprocessing);
    const wanted = runtime.loaded.inputs[0].shape;
    return wanted.join() === this.inputShape.join() ? input : channelsLast(input, this.inputShape[1]);
  }
}
