/**
 * Generates reproducible random requests from the OpenAPI document: valid requests, requests with one
 * invalid value, and bodies that are not JSON or have the wrong type.
 */

import { Random } from "../support/random_data.ts";

// deno-lint-ignore no-explicit-any -- the document is arbitrary JSON
type Json = any;

export interface Operation {
  method: string;
  path: string;
  parameters: Json[];
  /** Body schemas by media type; `undefined` without a body. */
  body: { type: string; schema: Json } | undefined;
}

export interface MadeRequest {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string | Uint8Array<ArrayBuffer> | undefined;
}

/** Ids from earlier responses by prefix, and state files. */
export interface Known {
  ids: Map<string, string[]>;
  files: Uint8Array<ArrayBuffer>[];
}

const TEXTS = [
  "hi",
  "",
  " ",
  "\n\n",
  "User: hi\n\nAssistant:",
  "größe 名前 🎈",
  "\ud800",
  "\0\u2028",
  "__proto__",
  "default",
  "null",
  "../../etc/passwd",
  "%",
  "a".repeat(3000),
];

const NUMBERS = [0, -0, 1, -1, 2, 0.5, 1e-320, 1e308, -1e308, 2 ** 31, 2 ** 53, 1 - 2 ** 53];

/** Fields that most requests need to succeed or to stream. */
const FREQUENT_FIELDS = ["messages", "prompt", "input", "stream"];

const RAW = [
  "",
  "{",
  "[]",
  "null",
  "1",
  '"text"',
  "\ufeff{}",
  '{"a":1}{"a":1}',
  '{"messages":[{"role":"user","content":"hi"}],"messages":null}',
  '{"__proto__":{"messages":[]}}',
  `{"messages":${"[".repeat(20_000)}${"]".repeat(20_000)}}`,
  '{"max_tokens":1e999}',
];

export function operationsOf(document: Json): Operation[] {
  return Object.entries<Json>(document.paths).flatMap(([path, item]) =>
    Object.entries<Json>(item).map(([method, { parameters = [], requestBody }]) => {
      const [type, media] = Object.entries<Json>(requestBody?.content ?? {})[0] ?? [];
      const body = type === undefined ? undefined : { type, schema: media.schema };
      return { method: method.toUpperCase(), path, parameters, body };
    })
  );
}

export class RequestMaker {
  readonly #document: Json;
  readonly #known: Known;
  readonly #random: Random;

  constructor(document: Json, known: Known, seed: number) {
    this.#document = document;
    this.#known = known;
    this.#random = new Random(seed);
  }

  request({ method, path, parameters, body }: Operation): MadeRequest {
    const headers: Record<string, string> = {};
    const query = new URLSearchParams();
    let url = path;
    for (const { in: place, name, required, schema } of parameters) {
      if (!required && this.#random.chance(0.6)) continue;
      const value = this.#random.chance(0.15) ? this.#junk() : this.#valid(schema, 0);
      const text = typeof value === "string" ? value : JSON.stringify(value);
      if (place === "path") url = url.replace(`{${name}}`, this.#segment(text));
      if (place === "query") query.append(name, text);
      // Most keys are new: a known key with another body is an error.
      const key = this.#random.chance(0.8) ? `${text}-${this.#random.below(1e9)}` : text;
      if (place === "header" && /^[\x21-\x7e]+$/.test(key)) headers[name] = key;
    }
    if (query.size > 0) url += `?${query}`;
    if (body === undefined) return { method, url, headers, body };
    headers["content-type"] = this.#random.chance(0.9) ? body.type : "text/plain";
    return { method, url, headers, body: this.#body(body) };
  }

  #segment(text: string): string {
    // Clients resolve `.` and `..`, and an empty segment is another path.
    if (/^\.*$/.test(text)) return "x";
    return encodeURIComponent(text.toWellFormed());
  }

  #body({ type, schema }: { type: string; schema: Json }): string | Uint8Array<ArrayBuffer> {
    if (type !== "application/json") return this.#file();
    if (this.#random.chance(0.06)) return this.#random.of(RAW);
    const value = this.#valid(schema, 0);
    if (this.#random.chance(0.35)) this.#damage(value);
    const text = JSON.stringify(bounded(value));
    if (this.#random.chance(0.03)) return text.slice(0, this.#random.below(text.length));
    if (this.#random.chance(0.03)) return Uint8Array.of(0x22, 0xff, 0xfe, 0x22);
    return text;
  }

  #file(): Uint8Array<ArrayBuffer> {
    const { files } = this.#known;
    if (files.length === 0 || this.#random.chance(0.1)) {
      return Uint8Array.from({ length: 300 }, () => this.#random.below(256));
    }
    const file = this.#random.of(files).slice();
    const kind = this.#random.below(3);
    if (kind === 0) file[this.#random.below(file.length)] ^= 1 << this.#random.below(8);
    return kind === 1 ? file.slice(0, this.#random.below(file.length)) : file;
  }

  /** Generates a value that the schema allows. */
  #valid(schema: Json, depth: number): Json {
    const { $ref, anyOf, oneOf, allOf, enum: values, type, example } = schema;
    if ($ref !== undefined) return this.#valid(this.#resolved($ref), depth);
    if ("const" in schema) return schema.const;
    if (values !== undefined) return this.#random.of(values);
    if (isId(example)) return this.#id(example);
    if (typeof example !== "boolean" && example !== undefined && this.#random.chance(0.35)) {
      return structuredClone(example);
    }
    if (anyOf ?? oneOf) return this.#valid(this.#random.of<Json>(anyOf ?? oneOf), depth);
    if (allOf) return Object.assign({}, ...allOf.map((part: Json) => this.#valid(part, depth)));
    const kinds: string[] = [type ?? "object"].flat();
    const kind = this.#random.of(kinds);
    if (kind === "object") return this.#object(schema, depth);
    if (kind === "array") return this.#array(schema, depth);
    if (kind === "string") return this.#text(schema);
    if (kind === "boolean") return this.#random.chance(0.5);
    if (kind === "integer" || kind === "number") return this.#number(schema, kind);
    return null;
  }

  #resolved($ref: string): Json {
    return $ref.split("/").slice(1).reduce((node, key) => node[key], this.#document);
  }

  #object({ properties = {}, required = [], additionalProperties }: Json, depth: number): Json {
    const made: Json = {};
    // Only a few fields at a time, because many fields always contradict each other.
    const share = Math.min(0.6, 3 / Object.keys(properties).length);
    for (const [name, schema] of Object.entries(properties)) {
      const wanted = required.includes(name) || FREQUENT_FIELDS.includes(name) ||
        this.#random.chance(share);
      if (wanted) made[name] = this.#valid(schema, depth + 1);
    }
    // Two of the three values that the schema allows do not stream.
    if ("stream" in made && this.#random.chance(0.3)) made.stream = true;
    if (typeof additionalProperties === "object") {
      for (let i = this.#random.below(3); i > 0; i--) {
        made[this.#random.of(["1", "65", "k", "é"])] = this.#valid(additionalProperties, depth + 1);
      }
    }
    return made;
  }

  #array({ items = {}, prefixItems, minItems = 0, maxItems = 3 }: Json, depth: number): Json[] {
    if (prefixItems) return prefixItems.map((item: Json) => this.#valid(item, depth + 1));
    const most = Math.min(maxItems, depth > 4 ? 1 : 3);
    const length = minItems + this.#random.below(Math.max(1, most - minItems + 1));
    return Array.from({ length }, () => this.#valid(items, depth + 1));
  }

  #text({ minLength = 0, maxLength = Infinity }: Json): string {
    const text = this.#random.of(TEXTS);
    return text.length < minLength ? text.padEnd(minLength, "x") : text.slice(0, maxLength);
  }

  #number({ minimum, maximum }: Json, kind: string): number {
    const [low, high] = [minimum ?? -10, maximum ?? (minimum ?? 0) + 300];
    if (this.#random.chance(0.2)) return this.#random.of([low, high]);
    const value = low + (high - low) * this.#random.below(1001) / 1000;
    return kind === "integer" ? Math.floor(value) : value;
  }

  /** Returns an id of the example's kind from an earlier response, or sometimes another one. */
  #id(example: string): string {
    const ids = [...this.#known.ids.values()].flat();
    const own = this.#known.ids.get(prefixOf(example)) ?? [];
    if (own.length > 0 && this.#random.chance(0.8)) return this.#random.of(own);
    return this.#random.of([example, ...ids]);
  }

  /** Replaces one part of a value. */
  #damage(value: Json): void {
    const places: [Json, string][] = [];
    const visit = (node: Json) => {
      if (typeof node !== "object" || node === null) return;
      for (const [key, inner] of Object.entries(node)) {
        places.push([node, key]);
        visit(inner);
      }
    };
    visit(value);
    if (places.length === 0) return;
    const [node, key] = this.#random.of(places);
    if (this.#random.chance(0.2)) delete node[key];
    else node[key] = this.#junk();
  }

  #junk(): Json {
    const kind = this.#random.below(4);
    if (kind < 2) return this.#random.of<Json>(kind === 0 ? TEXTS : NUMBERS);
    return structuredClone(
      this.#random.of<Json>([null, true, [], {}, [[]], [null], { a: { b: 1 } }]),
    );
  }
}

export function prefixOf(id: string): string {
  return id.slice(0, id.indexOf("_"));
}

function isId(example: unknown): example is string {
  return typeof example === "string" && /^[a-z]+_[0-9a-f]{48}$/.test(example);
}

/** Limits replies to a few tokens. */
function bounded(body: Json): Json {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return body;
  for (const name of ["max_tokens", "max_completion_tokens", "max_output_tokens"]) {
    if (typeof body[name] === "number" && body[name] > 12) body[name] = 12;
  }
  return body;
}
