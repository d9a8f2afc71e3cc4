// From a picture's pixels to a network's input, exactly as the sidecar's `preprocessing` says.
//
// Take the colors, resize, cut out the middle, then (x / 255 - mean) / std in float32. The Python side's
// regnet_edge/data.py is the same, step by step; tests/vectors/preprocessing holds both to one table.

import { resized } from "./resample.js";

/** Pixels of RGBA bytes as RGB, the form that everything here takes. */
export function withoutAlpha({ data, width, height }) {
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0, at = 0; i < rgb.length; i += 3, at += 4) {
    rgb[i] = data[at];
    rgb[i + 1] = data[at + 1];
    rgb[i + 2] = data[at + 2];
  }
  return { data: rgb, width, height, channels: 3 };
}

/** In the network's colors, resized and cropped: bytes, resolution x resolution x channels. */
export function fitted(pixels, how) {
  const colored = recolored(pixels, how.color);
  return centre(resized(colored, ...sizeAfter(colored, how), how.interpolation), how);
}

/** Width and height after the resize. */
function sizeAfter({ width: w, height: h }, { resize_px: px, crop_mode }) {
  if (crop_mode === "squash") return [px, px];
  if (crop_mode === "border") {
    const ratio = Math.max(w / px, h / px);
    return [w, h].map((side) => Math.max(1, roundHalfToEven(side / ratio)));
  }
  return w <= h ? [px, Math.floor((px * h) / w)] : [Math.floor((px * w) / h), px];
}

/** The network's input, Float32Array in NCHW order, of what `fitted` gave. */
export function normalized({ data, channels }, how) {
  const plane = data.length / channels;
  const out = new Float32Array(data.length);
  for (let c = 0; c < channels; c++) {
    const values = valuesOf(how.mean[c], how.std[c]);
    for (let i = 0; i < plane; i++) out[c * plane + i] = values[data[i * channels + c]];
  }
  return out;
}

/** The network's input of a picture, and the bytes it was made of. */
export function preprocessed(pixels, how) {
  const fit = fitted(pixels, how);
  return { pixels: fit, input: normalized(fit, how) };
}

/** The pixels, bytes in NHWC order, that `normalized` made this input of. */
export function pixelsOfInput(input, how) {
  const channels = how.mean.length;
  const pixel = (value, i) => Math.round((value * how.std[i % channels] + how.mean[i % channels]) * 255);
  return new Uint8Array(Uint8ClampedArray.from(channelsLast(input, channels), pixel).buffer);
}

/** NCHW as NHWC, the order that a .tflite file takes. */
export function channelsLast(values, channels) {
  const plane = values.length / channels;
  const out = new Float32Array(values.length);
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < plane; i++) out[i * channels + c] = values[c * plane + i];
  }
  return out;
}

/** What each byte becomes; every step is rounded to float32, as numpy rounds it. */
function valuesOf(mean, std) {
  const f = Math.fround;
  return Float32Array.from({ length: 256 }, (_, byte) => f(f(f(byte / 255) - f(mean)) / f(std)));
}

/** The middle, resolution x resolution, with a border of the mean's color where the picture is smaller. */
function centre(pixels, how) {
  const side = how.resolution;
  const { width, height } = pixels;
  if (width === side && height === side) return pixels;
  const halved = how.crop_rounding === "floor" ? (n) => Math.floor(n / 2) : (n) => roundHalfToEven(n / 2);
  const from = (n) => (n < side ? -Math.floor((side - n) / 2) : halved(n - side));
  return cut(pixels, from(width), from(height), side, how);
}

/** A square of pixels that begins at (left, top), which may lie outside. */
function cut({ data, width, height, channels }, left, top, side, how) {
  const fill = how.mean.map((mean) => roundHalfToEven(255 * mean));
  const out = Uint8Array.from({ length: side * side * channels }, (_, i) => fill[i % channels]);
  const [x0, x1] = [Math.max(0, left), Math.min(width, left + side)];
  for (let y = Math.max(0, top); y < Math.min(height, top + side); y++) {
    const row = data.subarray((y * width + x0) * channels, (y * width + x1) * channels);
    out.set(row, ((y - top) * side + x0 - left) * channels);
  }
  return { data: out, width: side, height: side, channels };
}

function recolored(pixels, color) {
  if (color === "RGB") return pixels;
  return color === "GRAY" ? gray(pixels) : reversed(pixels);
}

/** ITU-R 601 luma in 1/65536, as Pillow rounds it. */
function gray({ data, width, height }) {
  const out = new Uint8Array(width * height);
  for (let i = 0, at = 0; i < out.length; i++, at += 3) {
    out[i] = (19595 * data[at] + 38470 * data[at + 1] + 7471 * data[at + 2] + 0x8000) >> 16;
  }
  return { data: out, width, height, channels: 1 };
}

function reversed({ data, width, height }) {
  const out = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i += 3) {
    [out[i], out[i + 1], out[i + 2]] = [data[i + 2], data[i + 1], data[i]];
  }
  return { data: out, width, height, channels: 3 };
}

/** Python's round(). */
function roundHalfToEven(x) {
  const low = Math.floor(x);
  const above = x - low;
  if (above !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}
