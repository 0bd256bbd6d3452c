/** The chat page at `/`. The worker serves all its files, so the page needs no other host. */

import { Hono } from "hono";
import marked from "marked" with { type: "text" };
import {
  SAMPLING_PARAMETER_NAMES,
  SAMPLING_PARAMETERS,
  type SamplingParameter,
} from "../../src/core/sampling_parameters.ts";
import banner from "./banner.js" with { type: "text" };
import branches from "./branches.js" with { type: "text" };
import chat from "./chat.js" with { type: "text" };
import conversationStore from "./conversation_store.js" with { type: "text" };
import conversationView from "./conversation_view.js" with { type: "text" };
import elements from "./elements.js" with { type: "text" };
import html from "./index.html" with { type: "text" };
import keyForm from "./key_form.js" with { type: "text" };
import layout from "./layout.css" with { type: "text" };
import main from "./main.js" with { type: "text" };
import markdown from "./markdown.js" with { type: "text" };
import panels from "./panels.css" with { type: "text" };
import replyView from "./reply_view.js" with { type: "text" };
import retry from "./retry.js" with { type: "text" };
import root from "./root.css" with { type: "text" };
import runTurn from "./run_turn.js" with { type: "text" };
import scrolling from "./scrolling.js" with { type: "text" };
import settings from "./settings.js" with { type: "text" };
import sidebar from "./sidebar.js" with { type: "text" };
import stateFiles from "./state_files.js" with { type: "text" };
import theme from "./theme.js" with { type: "text" };
import transcript from "./transcript.css" with { type: "text" };
import transcriptView from "./transcript_view.js" with { type: "text" };
import turns from "./turns.js" with { type: "text" };
import workerApi from "./worker_api.js" with { type: "text" };
import workerStatus from "./worker_status.js" with { type: "text" };

/** The files by their paths under `/page/`. */
const FILES: Record<string, string> = {
  "root.css": root,
  "layout.css": layout,
  "transcript.css": transcript,
  "panels.css": panels,
  "banner.js": banner,
  "branches.js": branches,
  "chat.js": chat,
  "conversation_store.js": conversationStore,
  "conversation_view.js": conversationView,
  "elements.js": elements,
  "key_form.js": keyForm,
  "main.js": main,
  "markdown.js": markdown,
  // The module of the npm package. The file of this name here is only for type checking.
  "marked.js": marked,
  "reply_view.js": replyView,
  "retry.js": retry,
  "run_turn.js": runTurn,
  "sampling_fields.js": samplingFields(),
  "scrolling.js": scrolling,
  "settings.js": settings,
  "sidebar.js": sidebar,
  "state_files.js": stateFiles,
  "theme.js": theme,
  "transcript_view.js": transcriptView,
  "turns.js": turns,
  "worker_api.js": workerApi,
  "worker_status.js": workerStatus,
};

/** Generates the module `sampling_fields.js` from the table of sampling parameters. */
function samplingFields(): string {
  const fields = SAMPLING_PARAMETER_NAMES.flatMap((name) => {
    const { page, min, max, integer, defaultValue, api }: SamplingParameter =
      SAMPLING_PARAMETERS[name];
    if (!page) return [];
    const maximum = api?.max ?? max;
    return [{
      name,
      label: page.label,
      hint: page.hint,
      min,
      max: Number.isFinite(maximum) ? maximum : null,
      step: integer ? 1 : "any",
      initial: page.initial ?? null,
      placeholder: `${defaultValue}`,
    }];
  });
  return `export const SAMPLING_FIELDS = ${JSON.stringify(fields, null, 2)};\n`;
}

const TYPES: Record<string, string> = { css: "text/css", js: "text/javascript" };

export const PAGE_HEADERS = {
  "cache-control": "no-cache",
  "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; " +
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; " +
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

export function pageRoutes(): Hono {
  const app = new Hono();
  const serve = (path: string, text: string, type: string) => {
    const headers = { ...PAGE_HEADERS, "content-type": `${type}; charset=utf-8` };
    app.get(path, (c) => c.body(text, 200, headers));
  };
  serve("/", html, "text/html");
  for (const [name, text] of Object.entries(FILES)) {
    serve(`/page/${name}`, text, TYPES[name.split(".")[1]]);
  }
  return app;
}
