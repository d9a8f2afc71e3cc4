// Whether a figure can be believed: the rules of rules.json, the same file that Python and the phone's app read.
//
// docs/verdict.md describes the file; tests/vectors/verdict holds series that every reader must judge alike.

import { inputsOf } from "./inputs.js";

const COMPARE = {
  ">=": (a, b) => a >= b,
  ">": (a, b) => a > b,
  "<=": (a, b) => a <= b,
  "<": (a, b) => a < b,
  "==": (a, b) => a === b,
  "!=": (a, b) => a !== b,
};

/** The Validity of what was seen under a plan on a device. */
export function judged(seen, plan, device, rules) {
  return verdictOf(inputsOf(seen, plan, device), rules);
}

/** The Validity that the rules give over inputs; a note alone does not change the verdict. */
export function verdictOf(known, { rules }) {
  const fired = new Set();
  const reasons = [];
  for (const rule of rules) {
    const severity = (rule.unless ?? []).some((id) => fired.has(id)) ? null : severityOf(rule, known);
    if (!severity) continue;
    fired.add(rule.id);
    reasons.push({ rule: rule.rule ?? rule.id, severity, sentence: filled(rule.sentence, known) });
  }
  const has = (severity) => reasons.some((reason) => reason.severity === severity);
  return { verdict: has("invalid") ? "invalid" : has("warning") ? "warnings" : "valid", reasons };
}

/** How bad it is; null where the rule does not fire, or reads an input that is absent. */
function severityOf({ when = [], levels }, known) {
  const conditions = [...when, ...levels.flatMap((level) => level.when)];
  const reads = conditions.flatMap(([name, , value]) => (value?.input ? [name, value.input] : [name]));
  if (!reads.every((name) => name in known) || !all(when, known)) return null;
  return levels.find((level) => all(level.when, known))?.severity ?? null;
}

function all(conditions, known) {
  return conditions.every(([name, compare, value]) => COMPARE[compare](known[name], value?.input ? known[value.input] : value));
}

/** The sentence with its {input:format} places filled; an absent text is empty. */
function filled(sentence, known) {
  return sentence.replace(/\{(\w+)(?::(\w+))?\}/g, (_, name, how) => textOfInput(known[name] ?? "", how ?? ""));
}

function textOfInput(value, how) {
  if (Array.isArray(value)) return value.map((v) => textOfInput(v, how)).join(" and ");
  if (typeof value === "string") return how === "clause" && value ? `: ${value}` : value;
  if (how.startsWith("percent")) return `${(100 * Math.abs(value)).toFixed(Number(how.slice(7) || 0))}%`;
  return plain(Number(value.toPrecision(Number(how.replace("figure", "") || 6))));
}

/** A number as a plain decimal, without an exponent and without zeros at its end. */
function plain(value) {
  const text = String(value);
  return text.includes("e") ? value.toFixed(20).replace(/\.?0+$/, "") : text;
}
