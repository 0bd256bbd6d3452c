/** Renders an OpenAPI document as an HTML page without scripts. */

import { html } from "hono/html";
import type { OpenApiDocument } from "../openapi_document.ts";
import {
  type DocumentedResponse,
  listOperations,
  type MediaType,
  type Operation,
} from "./operations.ts";
import { formatBounds, type Schema, Schemas } from "./schema_text.ts";

type Html = ReturnType<typeof html>;

/** Maximum depth of nested fields, since schemas may be recursive. */
const MAX_DEPTH = 6;

/** Origin of the example requests: the default address of a worker. */
const ORIGIN = "http://localhost:8000";

export async function renderDocsPage(document: OpenApiDocument): Promise<string> {
  const schemas = new Schemas(document);
  const operations = listOperations(document);
  const { info, tags = [] } = document;
  const page = html`
    <!DOCTYPE html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
        <meta name="color-scheme" content="light dark">
        <meta name="description" content="The HTTP API of this worker">
        <title>${info.title}: API</title>
        <link rel="icon" href="data:,">
        <link rel="stylesheet" href="/page/root.css">
        <link rel="stylesheet" href="/docs.css">
      </head>
      <body>
        <a class="skip" href="#routes">Skip to the routes</a>
        <header>
          <h1>${info.title}: API</h1>
          <p>Version ${info
            .version} · <a href="/openapi.json">openapi.json</a> · <a href="/">Chat</a></p>
        </header>
        <div class="columns">
          <nav aria-label="Routes">
    ${tags.map(({ name }) => navigation(name, operations))}
    <p><a href="#headers">Headers</a></p>
          </nav>
          <main id="routes" tabindex="-1">
    ${prose(info.description ?? "")}
    ${tags.map((tag) => resource(tag, operations, schemas))}
    ${headers(document)}
          </main>
        </div>
      </body>
    </html>
  `;
  return String(await page);
}

function navigation(tag: string, operations: readonly Operation[]): Html {
  const own = operations.filter((operation) => operation.tag === tag);
  return html`
    <h2>${tag}</h2>
    <ul>${own.map(({ id, method, path }) =>
      html`<li><a href="#${id}">${name(method, path)}</a></li>`
    )}</ul>
  `;
}

function resource(
  { name: tag, description = "" }: { name: string; description?: string },
  operations: readonly Operation[],
  schemas: Schemas,
): Html {
  const own = operations.filter((operation) => operation.tag === tag);
  return html`
    <section aria-labelledby="tag-${tag}">
    <h2 id="tag-${tag}">${tag}</h2>
    ${prose(description)}
    ${own.map((operation) => article(operation, schemas))}
    </section>
  `;
}

function article(operation: Operation, schemas: Schemas): Html {
  const { id, method, path, summary, description, parameters, body, responses, errors } = operation;
  return html`
    <article id="${id}" aria-labelledby="${id}-name">
    <h3 id="${id}-name">${name(method, path)}</h3>
    <p class="summary">${summary}</p>
    ${prose(description)}
    ${parameters.length === 0 ? "" : html`
      <h4>Parameters</h4>
      <dl>${parameters.map(({ name, in: place, required, schema }) =>
        field(name, schema, { required: required ?? false, place, schemas, depth: 0 })
      )}</dl>
    `}${body === undefined ? "" : html`
      <h4>Body</h4>
      ${prose(body.description ?? "")}
      ${Object.entries(body.content).map(([type, { schema = {} }]) =>
        html`
          <p class="type"><code>${type}</code></p>
          ${fields(schema, schemas, 0)}
        `
      )}
    `}${example("Example request", curl(operation, schemas))}
    <h4>Responses</h4>
    ${responses.map((one) => response(one, schemas))}
    <h4>Errors</h4>
    ${table(errors)}
    </article>
  `;
}

function name(method: string, path: string): Html {
  // Allows a line break before each segment of the path.
  const parts = path.split(/(?=\/)/).map((part) => html`<wbr>${part}`);
  return html`<span class="method ${method.toLowerCase()}">${method}</span> <code>${parts}</code>`;
}

interface FieldOptions {
  required: boolean;
  /** Location of a parameter: `path` or `query`. */
  place?: string;
  schemas: Schemas;
  depth: number;
}

function field(
  name: string,
  schema: Schema,
  { required, place, schemas, depth }: FieldOptions,
): Html {
  const { description = schemas.resolve(schema).description ?? "" } = schema;
  const bounds = formatBounds(schema);
  const notes = [schemas.typeName(schema), bounds, place && `in the ${place}`]
    .filter((text) => text !== "" && text !== undefined).join(", ");
  const { example } = schema;
  return html`
    <div class="field">
      <dt><code>${name}</code> <span class="type">${notes}</span>${required
        ? html`
          <span class="required">required</span>
        `
        : ""}</dt>
      <dd>${prose(description)}${example === undefined || example === null
        ? ""
        : html`<p class="sample">For example <code>${JSON.stringify(example)}</code></p>`}${schemas
        .objectSchemas(schema).map(({ label, schema: inner }) =>
          html`<details><summary>Fields of ${
            label === "" ? html`<code>${name}</code>` : label
          }</summary>
${fields(inner, schemas, depth + 1)}</details>`
        )}</dd>
    </div>
  `;
}

function fields(schema: Schema, schemas: Schemas, depth: number): Html {
  if (depth > MAX_DEPTH) return html``;
  const alternatives = schemas.objectSchemas(schema);
  return html`${
    alternatives.map(({ label, schema: { properties = {}, required = [] } }) =>
      html`${
        alternatives.length > 1 && label !== "" ? html`<p class="type">${label}</p>` : ""
      }<dl>${
        Object.entries(properties).map(([name, inner]) =>
          field(name, inner, { required: required.includes(name), schemas, depth })
        )
      }</dl>`
    )
  }`;
}

function response(
  { status, description, headers, content }: DocumentedResponse,
  schemas: Schemas,
): Html {
  const names = headers.map((name, i) =>
    html`${i === 0 ? "" : ", "}<a href="#header-${name}"><code>${name}</code></a>`
  );
  return html`
    <div class="response">
    <p><strong>${status}</strong> ${text(description)} Headers: ${names}.</p>
    ${Object.entries(content).map(([type, media]) => {
      const { schema = {} } = media;
      return html`<details><summary><code>${type}</code>: ${schemas.typeName(schema)}</summary>
${prose(schemas.resolve(schema).description ?? "")}
${fields(schema, schemas, 0)}</details>
${example(`Example, ${type}`, sample(type, media, schemas))}`;
    })}
    </div>
  `;
}

/** Returns an example body as text; `null` for a binary one. */
function sample(
  type: string,
  { schema = {}, example, examples }: MediaType,
  schemas: Schemas,
): string | null {
  if (type === "application/json") {
    return JSON.stringify(example ?? schemas.exampleOf(schema), null, 2);
  }
  if (type !== "text/event-stream") return null;
  const events = Object.values(examples ?? {}).map(({ value }) => JSON.stringify(value));
  return [...events, "[DONE]"].map((data) => `data: ${data}`).join("\n\n");
}

function curl({ method, path, parameters, body }: Operation, schemas: Schemas): string {
  const filled = parameters.reduce(
    (url, { name, schema }) => url.replace(`{${name}}`, String(schemas.exampleOf(schema))),
    path,
  );
  const json = body?.content["application/json"]?.schema;
  const data = body &&
    (json === undefined
      ? " --data-binary @file"
      : ` \\\n  -d '${JSON.stringify(schemas.exampleOf(json)).replaceAll("'", "'\\''")}'`);
  const verb = method === "GET" || (method === "POST" && data) ? "" : ` -X ${method}`;
  return `curl${verb} ${ORIGIN}${filled}${data ?? ""}`;
}

function example(title: string, code: string | null): Html {
  if (code === null) return html``;
  return html`
    <figure>
      <figcaption>${title}</figcaption>
      <pre tabindex="0" role="group" aria-label="${title}"><code>${code}</code></pre>
    </figure>
  `;
}

function table(errors: Operation["errors"]): Html {
  return html`
    <table>
      <thead>
        <tr>
          <th scope="col">Status</th>
          <th scope="col">Code</th>
          <th scope="col">When</th>
        </tr>
      </thead>
      <tbody>${errors.map(({ status, code, when }) =>
        html`
          <tr>
            <td>${status}</td>
            <th scope="row">${errorCode(code)}</th>
            <td>${text(when)}</td>
          </tr>
        `
      )}</tbody>
    </table>
  `;
}

/** Allows a line break after each word of a code. */
function errorCode(code: string): Html {
  return html`<code>${code.split(/(?<=_)/).map((part) => html`${part}<wbr>`)}</code>`;
}

function headers({ components }: OpenApiDocument): Html {
  const all = Object.entries(components?.headers ?? {});
  return html`
    <section aria-labelledby="headers">
      <h2 id="headers">Headers</h2>
      <dl>${all.map(([name, header]) =>
        html`
          <div class="field" id="header-${name}">
            <dt><code>${name}</code></dt>
            <dd>${prose("description" in header ? header.description ?? "" : "")}</dd>
          </div>
        `
      )}</dl>
    </section>
  `;
}

/** Renders paragraphs, which are separated by empty lines. */
function prose(paragraphs: string): Html {
  if (paragraphs === "") return html``;
  return html`${paragraphs.split("\n\n").map((paragraph) => html`<p>${text(paragraph)}</p>`)}`;
}

/** Renders a line, with code between backticks. */
function text(line: string): Html {
  return html`${line.split("`").map((part, i) => i % 2 === 0 ? part : html`<code>${part}</code>`)}`;
}
