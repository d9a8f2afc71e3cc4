// Pillow's resize, in its own integer arithmetic, so that a picture becomes the same pixels in every browser.
//
// A browser's canvas scales by rules of its own that differ between browsers. This is Pillow's 8-bit path:
// weights in double, rounded to 22 bits; the result of the first of two passes rounded to bytes.

const PRECISION = 22; // bits after the point of a weight

/** The filters that antialias: what a neighbour at distance x weighs, and from which distance on it is 0. */
const FILTERS = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: cubic },
  lanczos: { support: 3, weight: (x) => (-3 <= x && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Keys's cubic with a = -0.5. */
function cubic(distance) {
  const a = -0.5;
  const x = Math.abs(distance);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/**
 * Resized pixels: `{ data, width, height, channels }`, data being bytes row by row.
 *
 * how is nearest, bilinear, bicubic or lanczos.
 */
export function resized(pixels, width, height, how) {
  if (width === pixels.width && height === pixels.height) return pixels;
  if (how === "nearest") return nearest(pixels, width, height);
  const passes = [
    (p) => (width === p.width ? p : horizontally(p, width, FILTERS[how])),
    (p) => (height === p.height ? p : vertically(p, height, FILTERS[how])),
  ];
  if (isVerticalFirst(pixels, width, height)) passes.reverse();
  return passes.reduce((p, pass) => pass(p), pixels);
}

/** Pillow's order (its pull request 9549, of 2026): rows first where the height loses more than twice what the width loses. */
function isVerticalFirst(pixels, width, height) {
  return height < pixels.height && pixels.height - height > 2 * (pixels.width - width);
}

/** For each output position: the first input it sees, how many, and their integer weights. */
function weightsOf(inputs, outputs, filter) {
  const scale = inputs / outputs;
  const stretch = Math.max(1, scale); // when shrinking the filter grows, which is the antialiasing
  const support = filter.support * stretch;
  return Array.from({ length: outputs }, (_, i) => {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(inputs, Math.trunc(center + support + 0.5));
    const raw = [];
    for (let x = first; x < end; x++) raw.push(filter.weight((x - center + 0.5) * (1 / stretch)));
    const sum = raw.reduce((a, b) => a + b, 0);
    return { first, weights: raw.map((w) => toInteger(sum === 0 ? w : w / sum)) };
  });
}

/** Half away from zero, as a C cast of w +- 0.5 does. */
function toInteger(weight) {
  return Math.trunc(weight * (1 << PRECISION) + (weight < 0 ? -0.5 : 0.5));
}

/** A sum of weighted bytes as a byte. */
function toByte(sum) {
  const value = Math.floor((sum + (1 << (PRECISION - 1))) / (1 << PRECISION));
  return value < 0 ? 0 : value > 255 ? 255 : value;
}

function horizontally({ data, width, height, channels }, outputs, filter) {
  const table = weightsOf(width, outputs, filter);
  const out = new Uint8Array(outputs * height * channels);
  let at = 0;
  for (let y = 0; y < height; y++) {
    for (const { first, weights } of table) {
      const begin = (y * width + first) * channels;
      for (let c = 0; c < channels; c++) out[at++] = toByte(weighted(data, begin + c, channels, weights));
    }
  }
  return { data: out, width: outputs, height, channels };
}

function vertically({ data, width, height, channels }, outputs, filter) {
  const stride = width * channels;
  const out = new Uint8Array(stride * outputs);
  let at = 0;
  for (const { first, weights } of weightsOf(height, outputs, filter)) {
    for (let i = 0; i < stride; i++) out[at++] = toByte(weighted(data, first * stride + i, stride, weights));
  }
  return { data: out, width, height: outputs, channels };
}

/** Sums stay below 2^53, so that doubles add these integers without a rounding. */
function weighted(data, begin, step, weights) {
  let sum = 0;
  for (let k = 0, at = begin; k < weights.length; k++, at += step) sum += data[at] * weights[k];
  return sum;
}

function nearest({ data, width, height, channels }, outWidth, outHeight) {
  const xs = positions(width, outWidth);
  const ys = positions(height, outHeight);
  const out = new Uint8Array(outWidth * outHeight * channels);
  let at = 0;
  for (const y of ys) {
    for (const x of xs) {
      const begin = (y * width + x) * channels;
      for (let c = 0; c < channels; c++) out[at++] = data[begin + c];
    }
  }
  return { data: out, width: outWidth, height: outHeight, channels };
}

/** The input position of each output, walked in equal steps as Pillow walks. */
function positions(inputs, outputs) {
  const step = inputs / outputs;
  const found = [];
  for (let i = 0, at = step * 0.5; i < outputs; i++, at += step) {
    found.push(Math.min(inputs - 1, Math.trunc(at)));
  }
  return found;
}
