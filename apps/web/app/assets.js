// Where the bundle's files come from: the folder that the page lies in, or the page itself (--single-file).

const FOLDER = new URL("./", document.baseURI).href;
const LITERT = "litert/";
const BUILDS = {
  default: "litert_wasm_internal",
  compat: "litert_wasm_compat_internal", // for browsers without relaxed SIMD; its last bits differ
  threaded: "litert_wasm_threaded_internal",
};
// Modules of one function that uses i8x16.popcnt, or i8x16.relaxed_swizzle: what a browser takes, it can run.
const SIMD = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);
const RELAXED_SIMD = Uint8Array.from([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2,
  253, 15, 253, 128, 2, 11,
]);

/** Whether the page is one HTML file with everything inside. */
export const isSingleFile = document.getElementById("embedded") !== null;

const embedded = isSingleFile ? JSON.parse(document.getElementById("embedded").textContent) : {};

/** The bytes of one of the bundle's files; rejects with a sentence. */
export async function bytesOf(name) {
  return isSingleFile ? unpacked(name) : fetched(name);
}

/** The text of one of the bundle's files. */
export async function textOf(name) {
  return new TextDecoder().decode(await bytesOf(name));
}

/** The JSON value of one of the bundle's files. */
export async function jsonOf(name) {
  return JSON.parse(await textOf(name));
}

/** What a worker is made of: its script's address, and what its `start` is told of LiteRT.js. */
export async function workerParts(threads) {
  if (!WebAssembly.validate(SIMD)) {
    throw new Error("this browser's WebAssembly has no SIMD, which LiteRT.js needs; use a newer browser");
  }
  const build = threads > 1 ? "threaded" : WebAssembly.validate(RELAXED_SIMD) ? "default" : "compat";
  return { build, ...(isSingleFile ? await embeddedParts(build) : folderParts(build)) };
}

/**
 * The worker begins as a blob of one line, because a worker from a blob keeps to the page's content security
 * policy, while one from a file keeps to what the server says of that file.
 */
function folderParts(build) {
  const address = JSON.stringify(`${FOLDER}app/worker.js`);
  const script = blobUrl([`import(${address}).catch((e) => self.postMessage({ id: "ready", error: String(e) }));`]);
  const folder = FOLDER + LITERT;
  return { script, litert: { core: `${folder}core.js`, loader: `${folder}${BUILDS[build]}.js`, wasm: null, folder } };
}

async function embeddedParts(build) {
  return {
    script: blobUrl([await unpacked("app/worker.js")]),
    litert: {
      core: await unpacked(`${LITERT}core.js`),
      loader: await unpacked(`${LITERT}${BUILDS[build]}.js`),
      wasm: await unpacked(`${LITERT}${BUILDS[build]}.wasm`),
      folder: "",
    },
  };
}

const made = new Map(); // addresses of blobs by their text's identity, so that each is made once

function blobUrl(parts) {
  const key = typeof parts[0] === "string" ? parts[0] : parts[0].buffer;
  if (!made.has(key)) made.set(key, URL.createObjectURL(new Blob(parts, { type: "text/javascript" })));
  return made.get(key);
}

async function fetched(name) {
  const answer = await fetch(FOLDER + name, { cache: "no-cache" }).catch(() => null);
  if (!answer?.ok) {
    const why = answer ? `the server says ${answer.status}` : "the server does not answer";
    throw new Error(`cannot fetch ${name} (${why}); is the computer that serves this page still there?`);
  }
  return new Uint8Array(await answer.arrayBuffer());
}

const opened = new Map();

/** Base64 of gzip, as `bundle web --single-file` packs each file. */
async function unpacked(name) {
  if (!(name in embedded)) throw new Error(`this page has no ${name} inside; make the bundle again`);
  if (!opened.has(name)) {
    if (!globalThis.DecompressionStream) throw new Error("this browser is too old for a page of one file");
    const packed = Uint8Array.from(atob(embedded[name]), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    opened.set(name, new Uint8Array(await new Response(stream).arrayBuffer()));
  }
  return opened.get(name);
}
