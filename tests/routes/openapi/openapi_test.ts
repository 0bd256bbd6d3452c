/** The OpenAPI document and its page are complete, valid and consistent with the app. */

import assert from "node:assert/strict";
import { Validator } from "@seriousme/openapi-schema-validator";
import { ERROR_STATUS } from "../../../src/core/errors.ts";
import { ids } from "../../session/fixtures.ts";
import { Documented, pointer } from "../documented.ts";
import { dataOf, HI, post, testApp } from "../fixtures.ts";

const { app } = testApp();
const document = await (await app.request("/openapi.json")).json();
const documented = new Documented(document);

/** Paths of pages. */
const PAGES = /^\/(docs|docs\.css|page\/.+)?$/;

/** Codes that no documented route returns: of the command line, and of unknown paths. */
const UNDOCUMENTED_CODES = [
  "method_not_allowed",
  "insufficient_memory",
  "invalid_checkpoint",
  "invalid_vocabulary",
  "usage",
  "file_error",
  "no_adapter",
  "hub_error",
];

/** Any object of the document. */
interface Node {
  [key: string]: unknown;
  $ref?: string;
  example?: unknown;
  examples?: Record<string, { value: unknown }>;
  properties?: Record<string, Node>;
}

interface Operation {
  method: string;
  path: string;
  operationId: string;
  requestBody?: { content: Record<string, unknown> };
  responses: Record<string, { content?: Record<string, { examples?: object }> }>;
}

const operations: Operation[] = Object.entries<Record<string, Operation>>(document.paths)
  .flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ ...operation, method, path }))
  );

Deno.test("the document is valid OpenAPI 3.1", async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(document));
  assert.ok(valid, JSON.stringify(errors));
  assert.equal(validator.version, "3.1");
  assert.equal(document.openapi, "3.1.0");
  const named = operations.map(({ operationId }) => operationId);
  assert.equal(new Set(named).size, named.length);
});

Deno.test("the document has exactly the routes of the app", () => {
  const served = app.routes.filter(({ method, path }) => method !== "ALL" && !PAGES.test(path))
    .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)(\{[^}]*\})?/g, "{$1}")}`);
  const documentedRoutes = operations.map(({ method, path }) => `${method.toUpperCase()} ${path}`);
  assert.deepEqual([...new Set(served)].sort(), documentedRoutes.sort());
});

Deno.test("every reference of the document resolves", () => {
  const refs = new Set<string>();
  visit(document, (node) => {
    if (typeof node.$ref === "string") refs.add(node.$ref);
  });
  assert.ok(refs.size > 10);
  for (const ref of refs) {
    const [, , kind, name] = ref.split("/");
    assert.ok(name in document.components[kind], ref);
  }
});

Deno.test("every error code is documented with its status", () => {
  const codes = new Set<string>();
  for (const { responses } of operations) {
    for (const [status, { content = {} }] of Object.entries(responses)) {
      for (const code of Object.keys(content["application/json"]?.examples ?? {})) {
        const expected = code === "internal_error" ? 500 : ERROR_STATUS[code as "usage"];
        // An unknown id is a bad request in a body, and not found in a path.
        const named = /^(state|conversation)_(not_found|expired)$/.test(code);
        assert.ok(Number(status) === expected || named && status === "400", `${code} ${status}`);
        codes.add(code);
      }
    }
  }
  const expected = Object.keys(ERROR_STATUS).filter((code) => !UNDOCUMENTED_CODES.includes(code));
  assert.deepEqual([...codes].sort(), [...expected, "internal_error"].sort());
});

Deno.test("every field has a description and, unless it is an object, an example", () => {
  let fields = 0;
  visit(document.components.schemas, (node) => {
    for (const [name, field] of Object.entries(node.properties ?? {})) {
      fields++;
      if ("$ref" in field) {
        assert.ok(document.components.schemas[field.$ref!.split("/")[3]].description, name);
        continue;
      }
      assert.ok(field.description, `${name} has no description`);
      const nested = "properties" in field || /"\$ref"/.test(JSON.stringify(field.items ?? null));
      assert.ok(nested || "example" in field, `${name} has no example`);
    }
  });
  assert.ok(fields > 50);
});

Deno.test("examples match their schemas", () => {
  let examples = 0;
  const walk = (node: Node, path: string[]) => {
    if ("example" in node && !path.includes("headers")) {
      const schema = "schema" in node ? [...path, "schema"] : path;
      documented.assertFits(node.example, pointer(...schema));
      examples++;
    }
    for (const { value } of Object.values(node.examples ?? {})) {
      documented.assertFits(value, pointer(...path, "schema"));
      examples++;
    }
    for (const [key, inner] of Object.entries(node)) {
      const apart = ["example", "examples", "properties"].includes(key);
      if (!apart && typeof inner === "object" && inner !== null) {
        walk(inner as Node, [...path, key]);
      }
    }
    for (const [name, field] of Object.entries(node.properties ?? {})) {
      walk(field, [...path, "properties", name]);
    }
  };
  walk(document, []);
  assert.ok(examples > 100, `${examples}`);
});

Deno.test("the example bodies are accepted", async () => {
  const bodies = operations
    .filter(({ requestBody }) => requestBody && "application/json" in requestBody.content);
  assert.ok(bodies.length >= 3);
  for (const { method, path, requestBody } of bodies) {
    const [, , , name] = JSON.stringify(requestBody!.content).match(/#(\/\w+)(\/\w+)\/(\w+)/)!;
    const { example } = document.components.schemas[name];
    const response = await testApp({ script: ids(" a\n\n") }).app
      .request(path, { method: method.toUpperCase(), body: JSON.stringify(example) });
    const rejected = await response.json();
    assert.notEqual(response.status, 400, `${path}: ${JSON.stringify(rejected)}`);
  }
});

Deno.test("chunks, usage and errors of streams match the document", async () => {
  const stream = {
    ...HI,
    n: 2,
    seed: 1,
    max_tokens: 3,
    stream: true,
    stream_options: { include_usage: true },
  };
  const fits = (line: string, name: string) =>
    documented.assertFits(JSON.parse(line), pointer("components", "schemas", name));
  const data = await dataOf(await post(app, stream));
  assert.equal(data.pop(), "[DONE]");
  assert.ok(data.length > 5);
  for (const line of data) {
    fits(line, "ChatCompletionChunk");
    fits(line, "ChatCompletionEvent");
  }
  const before = (sampled: number) => {
    if (sampled === 2) throw new TypeError("secret");
  };
  const broken = testApp({ before, script: ids(" abcdef", 0) }).app;
  const error = (await dataOf(await post(broken, { ...HI, stream: true }))).pop()!;
  fits(error, "ErrorEvent");
  fits(error, "ChatCompletionEvent");
});

Deno.test("the check detects undocumented responses", async () => {
  const model = await (await app.request("/v1/models/toy")).json();
  const schema = pointer("components", "schemas", "Model");
  documented.assertFits(model, schema);
  for (const wrong of [{ ...model, created: "42" }, { ...model, more: 1 }, { id: "toy" }]) {
    assert.throws(() => documented.assertFits(wrong, schema), assert.AssertionError);
  }
  const said = (body: object, status: number) =>
    documented.assertResponse("GET", "/v1/models", Response.json(body, { status }));
  const error = { message: "", type: "server_error", param: null, code: "usage" };
  await assert.rejects(said({ error }, 503), /GET \/v1\/models: usage/);
  await assert.rejects(said({ error }, 418), /documents no status 418/);
  await said({ error: { ...error, code: "not_ready" } }, 503);
});

Deno.test("a body is accepted with any content type", async () => {
  for (
    const type of ["application/x-www-form-urlencoded", "text/plain", "application/json", null]
  ) {
    const headers: HeadersInit = type === null ? {} : { "content-type": type };
    const response = await post(app, "", {
      headers,
      body: new TextEncoder().encode(JSON.stringify({ ...HI, max_tokens: 1 })),
    });
    assert.equal(response.status, 200, `${type}`);
  }
});

Deno.test("the documentation page has every route, field and error, without third-party resources", async () => {
  const response = await app.request("/docs");
  assert.match(response.headers.get("content-type")!, /^text\/html/);
  assert.match(response.headers.get("content-security-policy")!, /default-src 'none'/);
  const html = await response.text();
  assert.doesNotMatch(html, /<script|<style|style=|\son\w+=|undefined|\[object/);
  const links = [...html.matchAll(/(?:src|href)="([^"#]*)(#[^"]*)?"/g)];
  const places = new Set(links.map(([, link]) => link));
  assert.deepEqual([...places].sort(), [
    "",
    "/",
    "/docs.css",
    "/openapi.json",
    "/page/root.css",
    "data:,",
  ]);
  const marks = [...html.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id);
  assert.equal(new Set(marks).size, marks.length);
  for (const [, , mark] of links) if (mark) assert.ok(marks.includes(mark.slice(1)), mark);
  for (const { operationId } of operations) assert.ok(marks.includes(operationId), operationId);
  const text = html.replaceAll(/<[^>]*>/g, "");
  for (const name of Object.keys(document.components.schemas.ChatCompletionRequest.properties)) {
    assert.ok(html.includes(`<dt><code>${name}</code>`), name);
  }
  for (const code of ["state_not_found", "conversation_conflict", "internal_error"]) {
    assert.ok(text.includes(code), code);
  }
  assert.match(text, /data: \[DONE\]/);
  for (const path of ["/docs.css", "/page/root.css"]) {
    const styles = await app.request(path);
    assert.match(styles.headers.get("content-type")!, /^text\/css/);
    assert.doesNotMatch(await styles.text(), /https?:|@import|url\(/);
  }
});

function visit(node: unknown, see: (node: Node) => void): void {
  if (typeof node !== "object" || node === null) return;
  if (!Array.isArray(node)) see(node as Node);
  for (const inner of Object.values(node)) visit(inner, see);
}
