// The second view: each file against the definition's logits, on this browser.

import { byId, element, facts, percent, withButton } from "./dom.js";
import { proved } from "./golden.js";

/** What was proved so far, by file: the benchmark asks before it shows a latency. */
export class Proofs {
  #known = new Map();

  /** Whether the model was proved already. */
  has(model) {
    return this.#known.has(model.name);
  }

  /** The proof of a model, made at the first call; rejects where it cannot be made. */
  async of(model, tell) {
    if (!this.#known.has(model.name)) this.#known.set(model.name, await proved(model, tell));
    return this.#known.get(model.name);
  }
}

/** Bring the view to life. */
export function startVerify(models, proofs) {
  byId("verify-start").addEventListener("click", ({ target }) => withButton(target, () => verifyAll(models, proofs)));
}

async function verifyAll(models, proofs) {
  const progress = byId("verify-progress");
  progress.hidden = false;
  byId("proofs").replaceChildren();
  for (const [i, model] of models.entries()) {
    progress.value = i / models.length;
    byId("proofs").append(await card(model, proofs, (share) => (progress.value = (i + share) / models.length)));
  }
  progress.hidden = true;
}

async function card(model, proofs, tell) {
  const title = element("h2", { textContent: model.name });
  try {
    const proof = await proofs.of(model, tell);
    return element("li", {}, title, verdict(proof), facts(figures(proof)));
  } catch (error) {
    return element("li", {}, title, element("p", { className: "bad", textContent: error.message }));
  }
}

function verdict({ passed, failures }) {
  return passed
    ? element("p", { className: "good", textContent: "It computes what the definition computes." })
    : element("p", { className: "bad", textContent: `It does not: ${failures.join("; ")}.` });
}

function figures(proof) {
  return [
    ["images", String(proof.images)],
    ["max abs error", proof.maxAbsError.toPrecision(3)],
    ["SQNR", proof.sqnrDb === Infinity ? "identical" : `${proof.sqnrDb.toFixed(1)} dB`],
    ["top-1 agreement", percent(proof.agreement)],
    ["top-1 accuracy", accuracy(proof)],
    ["preprocessing", `within ${proof.preprocessingOff.toFixed(2)} of 255`],
    ["WebAssembly", `${proof.build} build`],
  ];
}

function accuracy({ accuracy: here, referenceAccuracy }) {
  return here === null ? null : `${percent(here)} (the definition: ${percent(referenceAccuracy)})`;
}
