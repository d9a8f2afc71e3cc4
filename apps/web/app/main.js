// Starts the page: reads the bundle and brings the four views to life.

import { startBenchmark } from "./benchmark-view.js";
import { startClassify } from "./classify-view.js";
import { say } from "./dom.js";
import { readBundle } from "./models.js";
import { showModels } from "./models-view.js";
import { invited } from "./session.js";
import { startTabs } from "./tabs.js";
import { Proofs, startVerify } from "./verify-view.js";

async function start() {
  startTabs();
  const bundle = await readBundle();
  const proofs = new Proofs();
  showModels(bundle);
  startVerify(bundle.models, proofs);
  startClassify(bundle.models);
  const count = bundle.models.length;
  say(`${count} model${count === 1 ? "" : "s"} ready`);
  startBenchmark(bundle, proofs, invited());
}

start().catch((error) => say(error.message, true));
