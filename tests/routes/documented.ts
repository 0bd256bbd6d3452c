/** Checks responses of an app against its OpenAPI document. */

import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import type { Hono } from "hono";

// deno-lint-ignore no-explicit-any -- the document is arbitrary JSON
type Json = any;

export class Documented {
  readonly #document: Json;
  /** Compiled checks by the JSON pointer of their schema. */
  readonly #checks = new Map<string, (value: unknown) => string>();
  readonly #ajv = new Ajv2020({ strict: false });

  constructor(document: Json) {
    this.#document = document;
    this.#ajv.addSchema(closed(document), "document");
  }

  static async of(app: Hono): Promise<Documented> {
    return new Documented(await (await app.request("/openapi.json")).json());
  }

  /** Asserts that a value matches the schema at a JSON pointer, without additional fields. */
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
    // Preflight requests are not operations.
    if (method === "OPTIONS" && response.status === 204) return;
    if (!template || !operation) {
      const html = /^text\//.test(response.headers.get("content-type") ?? "");
      if (!html) this.assertFits(await response.json(), "/components/schemas/Error");
      return;
    }
    const status = String(response.status);
    const declared = operation.responses[status];
    assert.ok(declared, `${method} ${template} documents no status ${status}`);
    for (const name of Object.keys(this.#document.components.headers)) {
      if (!response.headers.has(name)) continue;
      assert.ok(
        name in declared.headers,
        `${method} ${template} ${status} documents no header ${name}`,
      );
    }
    const type = response.headers.get("content-type")?.replace(/;.*/, "");
    assert.equal(type !== undefined, declared.content !== undefined);
    if (type === undefined) return;
    const media = declared.content[type];
    assert.ok(media, `${method} ${template} ${status} documents no type ${type}`);
    if (type !== "application/json" || method === "HEAD") return;
    const body = await response.json();
    this.assertFits(
      body,
      pointer("paths", template, verb, "responses", status, "content", type, "schema"),
    );
    // Probes have their own response format.
    if (response.ok || !("error" in body)) return;
    const codes = Object.keys(media.examples);
    assert.ok(codes.includes(body.error.code), `${method} ${template}: ${body.error.code}`);
  }
}

/** Shared, because all apps have the same routes. */
let shared: Promise<Documented> | undefined;

/** Checks all responses of an app against its document, except the content of streams. */
export function withDocumentCheck<T extends Hono>(app: T): T {
  const request = app.request;
  app.request = async (input, init, ...rest) => {
    const response = await request(input, init, ...rest);
    const sent = input instanceof Request ? input : new Request(
      new URL(input, "http://localhost"),
      init?.method ? { method: init.method } : {},
    );
    const { pathname } = new URL(sent.url);
    if (pathname === "/openapi.json") return response;
    shared ??= Documented.of(app);
    const json = response.headers.get("content-type")?.startsWith("application/json");
    // Streams are not cloned, because they must end when their reader cancels.
    const seen = json ? response.clone() : response;
    await (await shared).assertResponse(sent.method, pathname, seen);
    return response;
  };
  return app;
}

export function pointer(...parts: string[]): string {
  return parts.map((part) => `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

/** Matches a path. The last parameter may contain slashes. */
function matches(template: string, path: string): boolean {
  const pattern = template.replaceAll(/\{\w+\}$/g, ".+").replaceAll(/\{\w+\}/g, "[^/]+");
  return new RegExp(`^${pattern}$`).test(path);
}

function segments(path: string): number {
  return path.split("/").length;
}

/** Returns the schemas with `additionalProperties: false`, to detect undocumented fields. */
function closed(node: Json): Json {
  if (Array.isArray(node)) return node.map(closed);
  if (typeof node !== "object" || node === null) return node;
  const inner = Object.fromEntries(
    Object.entries(node).map(([key, value]) => [key, closed(value)]),
  );
  const open = node.properties === undefined || node.additionalProperties !== undefined;
  return open ? inner : { ...inner, additionalProperties: false };
}
