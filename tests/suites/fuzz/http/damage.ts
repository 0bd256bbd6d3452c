/**
 * Damages requests that were generated from the OpenAPI document: bodies, headers, paths and
 * methods.
 */

import type { MadeRequest } from "../../../routes/random_requests.ts";
import type { Random } from "../../../support/random_data.ts";
import { mutated } from "../mutator.ts";

/** Replacement values, as JSON. */
const VALUES = [
  ...["null", "true", "0", "-1", "1e999", "-1e999", "1e-400", "9007199254740993", "0.1", '""'],
  ...['"\\ud800"', '"\\u0000"', "[]", "{}", "[[]]", "[null]", '{"__proto__":{"a":1}}', '"null"'],
  ...['{"constructor":{"prototype":{}}}', '{"toString":1}', '{"length":1e9}'],
];

const WORDS = [
  ...VALUES,
  ...["messages", "role", "content", "max_tokens", "stream", "stop", "state_id", "n", "model"],
  ...["__proto__", "response_format", "json_schema", "guided_regex", "guided_grammar", "input"],
  ...["previous_response_id", "conversation", "logit_bias", "logprobs", "seed", "metadata"],
];

const HEADERS: readonly (readonly [string, readonly string[]])[] = [
  ["content-type", ["", "text/plain", "application/xml", "multipart/form-data; boundary=x", "a"]],
  ["content-type", ["application/json; charset=utf-16", "application/x-www-form-urlencoded"]],
  ["content-encoding", ["gzip", "br", "identity", "deflate, gzip", "x"]],
  ["content-length", ["0", "1", "99999999999999999999", "-1", "x", "1e9"]],
  ["transfer-encoding", ["chunked", "gzip, chunked"]],
  ["idempotency-key", ["", "k", "k".repeat(255), "k".repeat(256), "a\tb", "é"]],
  ["x-request-id", ["r", "r".repeat(5000), "../x", "<b>"]],
  ["accept", ["", "text/event-stream", "application/xml;q=2", "*/*,".repeat(2000)]],
  ["authorization", ["Bearer ", "Basic x", "x".repeat(9000)]],
  ["range", ["bytes=0-0", "bytes=9-1", "x"]],
  ["if-none-match", ["*", '"x"']],
  ["cookie", ["a=b; ".repeat(3000)]],
  ["x-forwarded-for", ["1.2.3.4"]],
  ["traceparent", ["00-0-0-0", "x".repeat(3000)]],
];

const SEGMENTS = [
  ...["..", ".", "%2e%2e", "%2f", "%00", "%", "%ff", "%c0%ae", "\\", "//", "__proto__", "a%0d%0ab"],
  ...["x".repeat(8000), "%F0%9F%8E%88", "etc/passwd", "?", "#", ";", "*", "{id}", ":id"],
];

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "PROPFIND", "X"];

/** A request with one to several faults, that writes no more than a few tokens. */
export function damagedRequest(request: MadeRequest, random: Random): MadeRequest {
  let made = request;
  for (let faults = 1 + random.below(3); faults > 0; faults--) {
    made = random.of([
      inBody,
      inBody,
      inBody,
      inBody,
      inBody,
      inHeaders,
      inHeaders,
      inPath,
      inMethod,
    ])(made, random);
  }
  return made;
}

function inBody(request: MadeRequest, random: Random): MadeRequest {
  const body = request.body ?? "{}";
  const kind = random.below(8);
  if (typeof body === "string" && kind === 0) return { ...request, body: manyKeys(body, random) };
  if (typeof body === "string" && kind === 1) {
    return { ...request, body: withReplacedValue(body, random) };
  }
  if (kind === 2) return { ...request, body: multipart(body) };
  if (typeof body === "string" && kind === 3) return { ...request, body: large(body, random) };
  const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const damaged = mutated({ corpus: [bytes], words: WORDS, most: 1 << 20 }, random);
  return { ...request, body: damaged };
}

/** Replaces a value. */
function withReplacedValue(body: string, random: Random): string {
  const places = [...body.matchAll(/(?<=:)(?:"[^"\\]*"|[\d.]+|true|false|null)/g)];
  if (places.length === 0) return body;
  const { index, 0: old } = random.of(places);
  return body.slice(0, index) + random.of(VALUES) + body.slice(index + old.length);
}

/** Adds a duplicate key, or very many keys. */
function manyKeys(body: string, random: Random): string {
  const count = random.of([1, 3, 1000, 20_000]);
  const keys = Array.from({ length: count }, (_, i) => `"${random.of(["k", "n", "é"])}${i}":1`);
  const again = random.of(["messages", "stream", "__proto__", "max_tokens"]);
  return `${body.slice(0, -1)}${body === "{}" ? "" : ","}"${again}":null,${keys.join()}}`;
}

/** Replaces a value by a long text, a long list or deep nesting. */
function large(body: string, random: Random): string {
  const value = random.of([
    () => JSON.stringify("x".repeat(200_000)),
    () => JSON.stringify("\n \n".repeat(random.of([100, 50_000]))),
    () => `[${"0,".repeat(20_000)}0]`,
    () => "[".repeat(5000) + "]".repeat(5000),
    () => '{"a":'.repeat(5000) + "1" + "}".repeat(5000),
    () => "9".repeat(5000),
    () => JSON.stringify("😀\ud83d".repeat(20_000)),
    () => JSON.stringify({ type: "json_schema", json_schema: { schema: { not: {} } } }),
  ])();
  const places = [...body.matchAll(/(?<=:)(?:"[^"\\]*"|[\d.]+|true|false|null)/g)];
  if (places.length === 0) return value;
  const { index, 0: old } = random.of(places);
  return body.slice(0, index) + value + body.slice(index + old.length);
}

function multipart(body: string | Uint8Array): string {
  const text = typeof body === "string" ? body : new TextDecoder("latin1").decode(body);
  const head = 'content-disposition: form-data; name="file"; filename="../../x"';
  return `--x\r\n${head}\r\n\r\n${text}\r\n--x--\r\n`;
}

function inHeaders(request: MadeRequest, random: Random): MadeRequest {
  const [name, values] = random.of(HEADERS);
  const { ...headers } = request.headers;
  if (random.chance(0.1)) delete headers["content-type"];
  headers[name] = random.of(values);
  return { ...request, headers };
}

function inPath(request: MadeRequest, random: Random): MadeRequest {
  const parts = request.url.split("/");
  const at = 1 + random.below(parts.length - 1);
  if (random.chance(0.5)) parts[at] = random.of(SEGMENTS);
  else parts.splice(at, 0, random.of(SEGMENTS));
  const query = random.chance(0.2) ? `?${random.of(["a=%", "limit=1e99", "&&=", "a=b&a=c"])}` : "";
  return { ...request, url: parts.join("/") + query };
}

function inMethod(request: MadeRequest, random: Random): MadeRequest {
  return { ...request, method: random.of(METHODS) };
}
