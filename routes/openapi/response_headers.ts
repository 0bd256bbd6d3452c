/** Headers of answers, as the OpenAPI document tells of them. */

type Header = {
  description: string;
  schema: { type: "string" | "integer"; minimum?: number; enum?: string[] };
  example: string | number;
};

export type ResponseHeader =
  | "x-request-id"
  | "x-state-id"
  | "retry-after"
  | "x-should-retry"
  | "location"
  | "www-authenticate"
  | `x-ratelimit-${"limit" | "remaining" | "reset"}-${"requests" | "tokens"}`
  | "idempotent-replayed"
  | "content-disposition";

export const RESPONSE_HEADERS: Record<ResponseHeader, Header> = {
  "x-request-id": {
    description: "Names the request, in the worker's log as well: the client's own where it sent " +
      "one, else one that the worker made.",
    schema: { type: "string" },
    example: "req_3f0c8a52-6f0e-4d0b-9d3c-0a1b2c3d4e5f",
  },
  "x-state-id": {
    description: "The state that the turn leads to; several, of several choices, with `, ` " +
      "between. In a stream it can be resumed from the first byte on, whatever happens.",
    schema: { type: "string" },
    example: "state_0123456789abcdef0123456789abcdef0123456789abcdef",
  },
  "retry-after": {
    description: "Seconds after which it is worth to try again.",
    schema: { type: "integer", minimum: 0 },
    example: 5,
  },
  "x-should-retry": {
    description: "`false`: the same request will be answered the same; OpenAI's clients heed it.",
    schema: { type: "string", enum: ["false"] },
    example: "false",
  },
  "idempotent-replayed": {
    description: "`true`: this was answered before, to a request with the same `Idempotency-Key`.",
    schema: { type: "string", enum: ["true"] },
    example: "true",
  },
  "x-ratelimit-limit-requests": {
    description: "Requests that a minute may have, where that is bounded; as the next five, it " +
      "comes with 200 and 429.",
    schema: { type: "integer", minimum: 1 },
    example: 60,
  },
  "x-ratelimit-remaining-requests": {
    description: "Of these, how many are left.",
    schema: { type: "integer", minimum: 0 },
    example: 59,
  },
  "x-ratelimit-reset-requests": {
    description: "Until all of them are left, if none comes: `250ms`, `12s`, `1m1s`.",
    schema: { type: "string" },
    example: "1m1s",
  },
  "x-ratelimit-limit-tokens": {
    description: "Tokens, read and written, that a minute may have, where that is bounded.",
    schema: { type: "integer", minimum: 1 },
    example: 20000,
  },
  "x-ratelimit-remaining-tokens": {
    description: "Of these, how many are left: of a stream, when it begins.",
    schema: { type: "integer", minimum: 0 },
    example: 19871,
  },
  "x-ratelimit-reset-tokens": {
    description: "Until all of them are left, if none comes.",
    schema: { type: "string" },
    example: "1m1s",
  },
  "www-authenticate": {
    description: "How a key is sent.",
    schema: { type: "string", enum: ["Bearer"] },
    example: "Bearer",
  },
  "location": {
    description: "Where what was made is described.",
    schema: { type: "string" },
    example: "/v1/states/state_0123456789abcdef0123456789abcdef0123456789abcdef",
  },
  "content-disposition": {
    description: "A name for the file.",
    schema: { type: "string" },
    example: 'attachment; filename="state_0123456789ab.rwkvstate"',
  },
};

/** References to headers, for a response. */
export function headerRefs(...names: ResponseHeader[]): Record<string, { $ref: string }> {
  return Object.fromEntries(
    names.map((name) => [name, { $ref: `#/components/headers/${name}` }]),
  );
}
