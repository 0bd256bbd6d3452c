// The settings dialog: the system prompt and the sampling parameters, stored in this browser.

import { byId, element } from "./elements.js";
import { SAMPLING_FIELDS } from "./sampling_fields.js";

const KEY = "rwkv.settings";

/** @type {readonly import("./sampling_fields.js").Field[]} `name` is the API's. */
const FIELDS = [
  ...SAMPLING_FIELDS,
  {
    name: "max_tokens",
    label: "Max tokens",
    hint: "per reply",
    min: 1,
    max: null,
    step: 1,
    initial: null,
    placeholder: "512",
  },
  {
    name: "seed",
    label: "Seed",
    hint: "the same seed gives the same reply",
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    step: 1,
    initial: null,
    placeholder: "random",
  },
];

/** @returns {Record<string, unknown>} The stored values; null for a field that the user emptied. */
function stored() {
  try {
    const parsed = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return typeof parsed === "object" && parsed !== null ? parsed : {};
  } catch {
    return {};
  }
}

/** @param {Record<string, unknown>} values */
function store(values) {
  try {
    localStorage.setItem(KEY, JSON.stringify(values));
  } catch {
    // Storage is forbidden or full: the settings are kept until the page is closed.
  }
}

/** @returns {string} */
export function systemPrompt() {
  return byId("system", HTMLTextAreaElement).value.trim();
}

/** Returns the request's sampling fields; fields that are empty or invalid are omitted. */
export function sampling() {
  /** @type {Record<string, number>} */
  const fields = {};
  for (const { name } of FIELDS) {
    const input = byId(`setting-${name}`, HTMLInputElement);
    if (input.value !== "" && input.checkValidity()) fields[name] = input.valueAsNumber;
  }
  return fields;
}

function fill() {
  const values = stored();
  const { system } = values;
  byId("system", HTMLTextAreaElement).value = typeof system === "string" ? system : "";
  for (const { name, initial } of FIELDS) {
    const value = name in values ? values[name] : initial;
    byId(`setting-${name}`, HTMLInputElement).value = typeof value === "number" ? `${value}` : "";
  }
}

function save() {
  /** @type {Record<string, unknown>} */
  const values = { system: systemPrompt() };
  for (const { name } of FIELDS) {
    const input = byId(`setting-${name}`, HTMLInputElement);
    if (input.checkValidity()) values[name] = input.value === "" ? null : input.valueAsNumber;
  }
  store(values);
}

export function setUpSettings() {
  const dialog = byId("settings", HTMLDialogElement);
  byId("sampling", HTMLDivElement).append(...FIELDS.map(fieldOf));
  fill();
  byId("settings-form", HTMLFormElement).addEventListener("input", save);
  byId("open-settings", HTMLButtonElement).addEventListener("click", () => dialog.showModal());
  byId("reset-settings", HTMLButtonElement).addEventListener("click", () => {
    store({});
    fill();
  });
  // A click on the backdrop closes the dialog.
  dialog.addEventListener("click", ({ target }) => {
    if (target === dialog) dialog.close();
  });
}

/** @param {import("./sampling_fields.js").Field} field */
function fieldOf({ name, label, hint, min, max, step, placeholder }) {
  const input = element("input", {
    id: `setting-${name}`,
    name,
    type: "number",
    inputmode: "decimal",
    min: `${min}`,
    step: `${step}`,
    ...(max === null ? {} : { max: `${max}` }),
    placeholder,
    "aria-describedby": `hint-${name}`,
  });
  return element(
    "div",
    { class: "setting" },
    element("label", { for: `setting-${name}` }, label),
    input,
    element("p", { id: `hint-${name}`, class: "small" }, hint),
  );
}
