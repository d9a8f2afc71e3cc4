// What a browser tells of the machine it runs on. What it does not tell is null or empty, never a guess.

const BROWSERS = [
  [/Firefox\/([\d.]+)|FxiOS\/([\d.]+)/, "Firefox"],
  [/SamsungBrowser\/([\d.]+)/, "Samsung Internet"],
  [/EdgA?\/([\d.]+)|EdgiOS\/([\d.]+)/, "Edge"],
  [/(?:Headless)?Chrome\/([\d.]+)|CriOS\/([\d.]+)/, "Chrome"],
  [/Version\/([\d.]+).*Safari/, "Safari"],
];
const SYSTEMS = [
  [/Android ([\d.]+)/, (m) => `Android ${m[1]}`],
  [/(?:iPhone|iPad).* OS ([\d_]+)/, (m) => `iOS ${m[1].replaceAll("_", ".")}`],
  [/Mac OS X/, () => "macOS"],
  [/Windows NT/, () => "Windows"],
  [/CrOS/, () => "ChromeOS"],
  [/Linux/, () => "Linux"],
];
const FRAMES = 20; // watched for the rate at which the browser draws
const CAPPED_MS = 30; // phones that save power draw 30 frames a second at most

/** The Device part of a record. */
export async function describeDevice() {
  const hints = await highHints();
  const browser = browserName();
  const os = systemName(hints);
  const model = hints.model || modelOf(navigator.userAgent);
  const cores = navigator.hardwareConcurrency;
  return {
    transport: "web",
    label: `${model || os} (${browser.name} ${browser.version.split(".")[0]})`,
    manufacturer: "",
    model: model || os,
    soc: "",
    os,
    abi: hints.architecture ? `${hints.architecture} ${hints.bitness ?? ""} bit` : "",
    ram_bytes: navigator.deviceMemory ? navigator.deviceMemory * 2 ** 30 : null,
    clusters: cores ? [{ cpus: Array.from({ length: cores }, (_, i) => i), max_khz: null, governor: null }] : [],
    serial: "",
  };
}

/** { name, version } of the browser. */
export function browserName(agent = navigator.userAgent) {
  for (const [pattern, name] of BROWSERS) {
    const found = pattern.exec(agent);
    if (found) return { name, version: found[1] ?? found[2] };
  }
  return { name: "a browser", version: "" };
}

/** Model, system version and processor, where the browser hands them out (Chromium, on https or this machine). */
async function highHints() {
  try {
    const wanted = ["model", "platform", "platformVersion", "architecture", "bitness"];
    return (await navigator.userAgentData?.getHighEntropyValues(wanted)) ?? {};
  } catch {
    return {};
  }
}

function systemName({ platform, platformVersion }) {
  if (platform === "Android" && platformVersion) return `Android ${platformVersion.split(".")[0]}`;
  for (const [pattern, text] of SYSTEMS) {
    const found = pattern.exec(navigator.userAgent);
    if (found) return text(found);
  }
  return "";
}

/** `SM-G991B` of an Android user agent, `iPhone` of Apple's; "K" is what Chrome says to hide it. */
function modelOf(agent) {
  const android = /Android [\d.]+; ([^;)]+?)(?: Build\/[^;)]*)?\)/.exec(agent)?.[1] ?? "";
  if (android) return ["K", "Mobile", "Tablet"].includes(android) ? "" : android;
  return /\((iPhone|iPad);/.exec(agent)?.[1] ?? "";
}

/** The Power part of a look: battery where the browser tells it, the saver where its slow drawing shows it. */
export async function power() {
  const found = { charging: null, percent: null, battery_c: null, saver: await drawsSlowly() };
  try {
    const battery = await navigator.getBattery?.();
    // what is full and charges is also what a machine without a battery says: then nothing is known
    if (battery && !(battery.charging && battery.level === 1)) {
      Object.assign(found, { charging: battery.charging, percent: 100 * battery.level });
    }
  } catch {
    // an insecure page may not ask: unknown
  }
  return found;
}

/** True where no frame comes sooner than 30 a second allow; null else, because fast frames prove nothing. */
async function drawsSlowly() {
  if (document.hidden) return null;
  const times = await Promise.race([frames(), new Promise((done) => setTimeout(done, 40 * CAPPED_MS, []))]);
  const gaps = times.slice(1).map((t, i) => t - times[i]);
  return gaps.length >= FRAMES / 2 && Math.min(...gaps) >= CAPPED_MS ? true : null;
}

async function frames() {
  const times = [];
  while (times.length < FRAMES) times.push(await new Promise(requestAnimationFrame));
  return times;
}

/** Keeps the screen on where the browser can; returns what lets it go again. */
export async function keepAwake() {
  let lock = null;
  const take = async () => {
    if (document.hidden) return;
    lock = await navigator.wakeLock?.request("screen").catch(() => null);
  };
  await take();
  document.addEventListener("visibilitychange", take); // a hidden page loses its lock
  return () => {
    document.removeEventListener("visibilitychange", take);
    lock?.release();
  };
}

/** Counts how long the page was hidden from now on. */
export class HiddenTime {
  #total = 0;
  #since = document.hidden ? performance.now() : null;

  constructor() {
    this.change = () => {
      this.#total = this.ms;
      this.#since = document.hidden ? performance.now() : null;
    };
    document.addEventListener("visibilitychange", this.change);
  }

  get ms() {
    return this.#total + (this.#since === null ? 0 : performance.now() - this.#since);
  }

  stop() {
    document.removeEventListener("visibilitychange", this.change);
    return this.ms;
  }
}
