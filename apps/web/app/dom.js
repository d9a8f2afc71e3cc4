// Small pieces of the page.

/** The element of that id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A new element with properties and children; text is text, never markup. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A list of terms: [[term, text], ...]; pairs without a text are left out. */
export function facts(pairs) {
  const known = pairs.filter(([, text]) => text !== null && text !== undefined && text !== "");
  return element("dl", {}, ...known.flatMap(([term, text]) => [
    element("dt", { textContent: term }),
    element("dd", { textContent: text }),
  ]));
}

/** Say something at the top of the page, where a screen reader hears it. */
export function say(sentence, isBad = false) {
  const status = byId("status");
  status.textContent = sentence;
  status.className = isBad ? "bad" : "";
}

/** Do it with the button disabled; what goes wrong is said at the top. */
export async function withButton(button, work) {
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    say(error.message, true);
  } finally {
    button.disabled = false;
  }
}

/** A share of one as a percentage. */
export function percent(share, digits = 1) {
  return `${(100 * share).toFixed(digits)} %`;
}

/** Fill a <select> with the models. */
export function listModels(select, models) {
  select.replaceChildren(...models.map((m, i) => element("option", { value: i, textContent: m.name })));
}
