/** Whether what an app answers is what its OpenAPI document says. */

import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import type { Hono } from "hono";

// deno-lint-ignore no-explicit-any -- a document is JSON, of whatever is asked of it
type Json = any;

export class Documented {
  readonly #document: Json;
  /** By the pointer of the schema that they are of. */
  readonly #checks = new Map<string, (value: unknown) => string>();
  readonly #ajv = new Ajv2020({ strict: false });

  constructor(document: Json) {
    this.#document = document;
    this.#ajv.addSchema(closed(document), "document");
  }

  static async of(app: Hono): Promise<Documented> {
    return new Documented(await (await app.request("/openapi.json")).json());
  }

  /** Asserts that a value fits the schema at a JSON pointer, and has no fields besides. */
  assertFits(value: unknown, pointer: string): void {
    let check = this.#checks.get(pointer);
    if (check === undefined) {
      const validate = this.#ajv.compile({ $ref: `document#${encodeURI(pointer)}` });
      check = (value) => validate(value) ? "" : this.#ajv.errorsText(validate.errors);
      this.#checks.set(pointer, check);
    }
    assert.equal(check(value), "", `${pointer} and ${JSON.stringify(value)}`);
  }

  /** Asserts that a response is documented: status, headers, type, error code, body. */
  async assertResponse(method: string, path: string, response: Response): Promise<void> {
    const template = Object.keys(this.#document.paths).filter((key) => matches(key, path))
      .sort((a, b) => segments(b) - segments(a))[0];
    const verb = method === "HEAD" ? "get" : method.toLowerCase();
    const operation = template && this.#document.paths[template][verb];
    // What browsers ask before a request is no operation.
    if (method === "OPTIONS" && response.status === 204) return;
    if (!template || !operation) {
      const html = /^text\//.test(response.headers.get("content-type") ?? "");
      if (!html) this.assertFits(await response.json(), "/components/schemas/Error");
      return;
    }
    const status = String(response.status);
    const declared = operation.responses[status];
    assert.ok(declared, `${method} ${template} may not answer ${status}`);
    for (const name of Object.keys(this.#document.components.headers)) {
      if (!response.headers.has(name)) continue;
      assert.ok(name in declared.headers, `${method} ${template} ${status} has no header ${name}`);
    }
    const type = response.headers.get("content-type")?.replace(/;.*/, "");
    assert.equal(type !== undefined, declared.content !== undefined);
    if (type === undefined) return;
    const media = declared.content[type];
    assert.ok(media, `${method} ${template} ${status} may not be ${type}`);
    if (type !== "application/json" || method === "HEAD") return;
    const body = await response.json();
    this.assertFits(
      body,
      pointer("paths", template, verb, "responses", status, "content", type, "schema"),
    );
    // Probes answer in their own words.
    if (response.ok || !("error" in body)) return;
    const codes = Object.keys(media.examples);
    assert.ok(codes.includes(body.error.code), `${method} ${template}: ${body.error.code}`);
  }
}

/** All apps have the same routes. */
let shared: Promise<Documented> | undefined;

/** An app whose answers, but for what streams hold, are held against its document. */
export function watched<T extends Hono>(app: T): T {
  const request = app.request;
  app.request = async (input, init, ...rest) => {
    const response = await request(input, init, ...rest);
    const asked = input instanceof Request ? input : new Request(
      new URL(input, "http://localhost"),
      init?.method ? { method: init.method } : {},
    );
    const { pathname } = new URL(asked.url);
    if (pathname === "/openapi.json") return response;
    shared ??= Documented.of(app);
    const json = response.headers.get("content-type")?.startsWith("application/json");
    // A stream stays as it is: it must end where its reader leaves.
    const seen = json ? response.clone() : response;
    await (await shared).assertResponse(asked.method, pathname, seen);
    return response;
  };
  return app;
}

export function pointer(...parts: string[]): string {
  return parts.map((part) => `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

/** The last parameter of a path may have slashes. */
function matches(template: string, path: string): boolean {
  const pattern = template.replaceAll(/\{\w+\}$/g, ".+").replaceAll(/\{\w+\}/g, "[^/]+");
  return new RegExp(`^${pattern}$`).test(path);
}

function segments(path: string): number {
  return path.split("/").length;
}

/** Schemas that refuse what they do not list: an answer's undocumented field is a mistake. */
function closed(node: Json): Json {
  if (Array.isArray(node)) return node.map(closed);
  if (typeof node !== "object" || node === null) return node;
  const inner = Object.fromEntries(
    Object.entries(node).map(([key, value]) => [key, closed(value)]),
  );
  const open = node.properties === undefined || node.additionalProperties !== undefined;
  return open ? inner : { ...inner, additionalProperties: false };
}
