// The last view: what the bundle holds.

import { byId, element, facts } from "./dom.js";

/** List the models. */
export function showModels({ about, models }) {
  byId("model-list").replaceChildren(...models.map((model) =>
    element("li", {}, element("h2", { textContent: model.name }), facts(factsOf(model))),
  ));
  byId("licences").textContent =
    `${about.runtime.version} (Apache-2.0); the texts of all licences lie in the bundle's licenses folder.`;
}

function factsOf({ sidecar, precision }) {
  const { model, target } = sidecar.request;
  const { flops, params, activations } = sidecar.complexity;
  const { stages, se_ratio, stem_width } = model.config;
  const each = (key) => stages.map((stage) => stage[key]).join(", ");
  return [
    ["network", model.name],
    ["input", `${model.preprocessing.resolution} x ${model.preprocessing.resolution}, ${model.preprocessing.color}`],
    ["file", `${target}, ${precision}, ${(sidecar.bytes / 1e6).toFixed(2)} MB`],
    ["flops", millions(flops)],
    ["params", millions(params)],
    ["activations", millions(activations)],
    ["stem", String(stem_width)],
    ["depths", each("depth")],
    ["widths", each("width")],
    ["group widths", each("group_width")],
    ["SE ratio", se_ratio ? String(se_ratio) : null],
    ["weights", model.weights.kind === "untrained" ? "untrained: for latency only" : model.weights.kind],
    ["verified", sidecar.parity && `${sidecar.parity.sqnr_db.toFixed(1)} dB on ${sidecar.parity.images} images`],
    ["licence", model.licence],
    ["sha256", sidecar.sha256],
  ];
}

function millions(count) {
  return `${(count / 1e6).toFixed(2)} M`;
}
