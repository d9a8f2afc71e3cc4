// Golden data: the definition's logits, by which a file is proved in this browser (docs/golden-data.md).

import { bytesOf, jsonOf } from "./assets.js";
import { maxAbsError, softmax, sqnrDb, top1 } from "./metrics.js";
import { normalized, preprocessed } from "./preprocessing.js";
import { pixelsOf } from "./picture.js";
import { sha256 } from "./sha256.js";

/** A model's golden data: pictures and labelled test images, each with input and logits. */
export async function readGolden(folder) {
  const header = await jsonOf(`${folder}/golden.json`);
  const files = {};
  for (const [name, hash] of Object.entries(header.sha256)) {
    files[name] = await bytesOf(`${folder}/${name}`);
    if (sha256(files[name]) !== hash) throw new Error(`${name} of the golden data is damaged; make the bundle again`);
  }
  const floats = (name) => new Float32Array(files[name].slice().buffer);
  const [inputs, logits] = [rows(floats(header.inputs), header.pictures.length), floats(header.logits)];
  return {
    header,
    pictures: header.pictures.map(({ file }) => new Blob([files[file]], { type: mimeOf(file) })),
    examples: [
      ...examplesOf(inputs, rows(logits, inputs.length), header.pictures.map((p) => p.label)),
      ...testExamples(header, files, floats),
    ],
    inputs,
  };
}

function mimeOf(file) {
  return file.endsWith(".png") ? "image/png" : "image/jpeg";
}

function testExamples({ test, preprocessing }, files, floats) {
  if (!test) return [];
  const channels = preprocessing.mean.length;
  const inputs = rows(files[test.pixels], test.labels.length).map((data) =>
    normalized({ data, channels }, preprocessing),
  );
  return examplesOf(inputs, rows(floats(test.logits), inputs.length), test.labels, true);
}

function examplesOf(inputs, logits, labels, counted = false) {
  return inputs.map((input, i) => ({ input, logits: logits[i], label: labels[i], counted }));
}

function rows(values, count) {
  const size = values.length / count;
  return Array.from({ length: count }, (_, i) => values.subarray(i * size, (i + 1) * size));
}

/** How far this browser's preprocessing of the pictures is from the inputs, in 255ths before normalisation. */
export async function preprocessingError({ pictures, inputs, header }) {
  const how = header.preprocessing;
  const plane = how.resolution ** 2;
  let worst = 0;
  for (const [i, picture] of pictures.entries()) {
    const { input } = preprocessed(await pixelsOf(picture), how);
    input.forEach((value, at) => {
      const std = how.std[Math.floor(at / plane)];
      worst = Math.max(worst, Math.abs(value - inputs[i][at]) * std * 255);
    });
  }
  return worst;
}

/**
 * What a file computes here against the definition: { passed, failures, ... }.
 *
 * It passes where SQNR and top-1 agreement reach the bars of its precision and the preprocessing is right.
 */
export async function proved(model, tell = () => {}) {
  const golden = await readGolden(model.entry.golden);
  const off = await preprocessingError(golden);
  const runtime = await model.runtime();
  try {
    const found = [];
    for (const [i, { input }] of golden.examples.entries()) {
      found.push((await runtime.infer(model.ordered(input, runtime))).logits);
      if (i % 8 === 0) tell(i / golden.examples.length);
    }
    const asked = model.givesProbabilities ? withProbabilities(golden) : golden;
    return judged(asked, found, off, model.precision, runtime.build);
  } finally {
    runtime.close();
  }
}

/** The same with the probabilities that a file with an embedded softmax has to give. */
function withProbabilities(golden) {
  return { ...golden, examples: golden.examples.map((e) => ({ ...e, logits: Float32Array.from(softmax(e.logits)) })) };
}

function judged({ header, examples }, found, preprocessingOff, precision, build) {
  const wanted = Float32Array.from(examples.flatMap(({ logits }) => [...logits]));
  const values = Float32Array.from(found.flatMap((logits) => [...logits]));
  const tops = found.map(top1);
  const share = (is) => (is.length ? is.filter(Boolean).length / is.length : null);
  const counted = examples.map((e, i) => ({ ...e, top: tops[i] })).filter((e) => e.counted);
  const proof = {
    build,
    images: examples.length,
    maxAbsError: maxAbsError(wanted, values),
    sqnrDb: sqnrDb(wanted, values),
    agreement: share(examples.map(({ logits }, i) => top1(logits) === tops[i])),
    accuracy: share(counted.map((e) => e.top === e.label)),
    referenceAccuracy: share(counted.map((e) => top1(e.logits) === e.label)),
    preprocessingOff,
  };
  const failures = failuresOf(proof, header.bars[precision], header.trained);
  return { ...proof, failures, passed: failures.length === 0 };
}

function failuresOf({ sqnrDb: sqnr, agreement, preprocessingOff }, bar, trained) {
  const found = [];
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  if (!(sqnr > bar.sqnr_db)) found.push(`SQNR ${sqnr.toFixed(1)} dB is not above ${bar.sqnr_db} dB`);
  if (trained && agreement < bar.top1) found.push(`top-1 agreement ${percent(agreement)} is below ${percent(bar.top1)}`);
  if (preprocessingOff > 1.001) found.push(`preprocessing is off by ${preprocessingOff.toFixed(1)} of 255`);
  return found;
}
