// Pictures as pixels: from a file of the phone, or from its camera, upright, in the colors that the file holds.

import { withoutAlpha } from "./preprocessing.js";

const MOST_PIXELS = 50e6; // a larger picture may end the page on a phone

/** RGB pixels of a picture's file; rejects with a sentence. */
export async function pixelsOf(blob) {
  let bitmap;
  try {
    // upright by EXIF; the numbers as they are in the file, without a color profile applied
    bitmap = await createImageBitmap(blob, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new Error("this file is no picture that the browser can read; choose a JPEG or PNG");
  }
  if (bitmap.width * bitmap.height > MOST_PIXELS) {
    throw new Error(`a picture of ${bitmap.width} x ${bitmap.height} is too large; choose one below 50 megapixels`);
  }
  return drawn(bitmap, bitmap.width, bitmap.height);
}

/** RGB pixels of what a playing video shows. */
export function frameOf(video) {
  return drawn(video, video.videoWidth, video.videoHeight);
}

function drawn(source, width, height) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0);
  return withoutAlpha(context.getImageData(0, 0, width, height));
}

/** Whether this page may ask for the camera: on https, on this machine, or from a file. */
export function hasCamera() {
  return Boolean(navigator.mediaDevices?.getUserMedia);
}

/** Start the camera on the back of the phone in a <video>; returns what stops it. */
export async function startCamera(video, facing = "environment") {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: facing }, audio: false });
  } catch (error) {
    const why = { NotAllowedError: "it was not allowed", NotFoundError: "there is none" }[error.name] ?? error.name;
    throw new Error(`the camera cannot be used (${why}); choose a picture instead`);
  }
  video.srcObject = stream;
  await video.play();
  return () => {
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  };
}
