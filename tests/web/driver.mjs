// Drives headless Chromium for the Python tests: one JSON command a line in, one JSON answer a line out.
//
// node driver.mjs PLAYWRIGHT CHROMIUM    where playwright-core lies, and the browser
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [, , playwright, executablePath] = process.argv;
const { chromium } = await import(pathToFileURL(`${playwright}/index.mjs`));
const FLAGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP phone.test 127.0.0.1",
];
const browsers = new Map(); // by their extra flags, so that tests share one
const pages = new Map(); // by number
let next = 0;

async function browserWith(flags) {
  const key = flags.join(" ");
  if (!browsers.has(key)) {
    browsers.set(key, await chromium.launch({ executablePath, headless: true, args: [...FLAGS, ...flags] }));
  }
  return browsers.get(key);
}

const commands = {
  /** A new page at the address, in a context of its own; all that it asks for and says is kept. */
  async open({ url, flags = [], context = {}, before = "" }) {
    const own = await (await browserWith(flags)).newContext({
      viewport: { width: 360, height: 740 }, ignoreHTTPSErrors: true, acceptDownloads: true, ...context,
    });
    const page = await own.newPage();
    if (before) await page.addInitScript(before);
    const kept = { page, requests: [], errors: [] };
    page.on("request", (request) => kept.requests.push(request.url()));
    page.on("pageerror", (error) => kept.errors.push(String(error)));
    page.on("console", (message) => {
      if (/Content Security Policy/.test(message.text())) kept.errors.push(message.text());
    });
    pages.set(next, kept);
    await page.goto(url);
    return next++;
  },
  goto: ({ page }, { url }) => page.goto(url).then(() => null),
  reload: ({ page }) => page.reload().then(() => null),
  click: ({ page }, { selector }) => page.click(selector).then(() => null),
  press: ({ page }, { key }) => page.keyboard.press(key).then(() => null),
  check: ({ page }, { selector, checked }) => page.setChecked(selector, checked).then(() => null),
  choose: ({ page }, { selector, value }) => page.selectOption(selector, value).then(() => null),
  text: ({ page }, { selector }) => page.innerText(selector),
  shown: ({ page }, { selector }) => page.isVisible(selector),
  upload: ({ page }, { selector, file }) => page.setInputFiles(selector, file).then(() => null),
  /** Asks again and again: playwright's own waiting evaluates text in the page, which the page forbids. */
  wait: async ({ page }, { condition, seconds = 60 }) => {
    const end = Date.now() + 1000 * seconds;
    while (!(await page.evaluate(`(() => ${condition})()`))) {
      if (Date.now() > end) throw new Error(`never true: ${condition}; it says ${await page.innerText("body")}`);
      await new Promise((done) => setTimeout(done, 50));
    }
    return null;
  },
  evaluate: ({ page }, { script, argument }) => page.evaluate(`(${script})(${JSON.stringify(argument ?? null)})`),
  picture: ({ page }, { file, full = false }) => page.screenshot({ path: file, fullPage: full }).then(() => null),
  download: async ({ page }, { selector, file }) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(selector)]);
    await download.saveAs(file);
    return download.suggestedFilename();
  },
  seen: ({ requests, errors }) => ({ requests, errors }),
  close: ({ page }) => page.context().close().then(() => null),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, on, ...rest } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: name === "open" ? await commands.open(rest) : await commands[name](pages.get(on), rest) };
  } catch (error) {
    answer = { error: String(error?.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
for (const browser of browsers.values()) await browser.close();
