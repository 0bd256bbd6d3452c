/** The chat page at `/`: three static texts, nothing from any other host. */

import { Hono } from "hono";
import styles from "./page/chat.css" with { type: "text" };
import script from "./page/chat.js" with { type: "text" };
import html from "./page/index.html" with { type: "text" };

const FILES = [
  { path: "/", text: html, type: "text/html" },
  { path: "/chat.css", text: styles, type: "text/css" },
  { path: "/chat.js", text: script, type: "text/javascript" },
];

export const PAGE_HEADERS = {
  "cache-control": "no-cache",
  "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; " +
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; " +
    "frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

export function pageRoutes(): Hono {
  const app = new Hono();
  for (const { path, text, type } of FILES) {
    const headers = { ...PAGE_HEADERS, "content-type": `${type}; charset=utf-8` };
    app.get(path, (c) => c.body(text, 200, headers));
  }
  return app;
}
