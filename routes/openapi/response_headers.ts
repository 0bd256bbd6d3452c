/** Response headers of the OpenAPI document. */

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
    description:
      "Id of the request, also used in the worker's log: the client's id if it sent one, " +
      "else a generated one.",
    schema: { type: "string" },
    example: "req_3f0c8a52-6f0e-4d0b-9d3c-0a1b2c3d4e5f",
  },
  "x-state-id": {
    description:
      "Id of the turn's new state; for several choices, several ids separated by `, `. In " +
      "a stream, it can be resumed from the first byte on, even if the stream is interrupted.",
    schema: { type: "string" },
    example: "state_0123456789abcdef0123456789abcdef0123456789abcdef",
  },
  "retry-after": {
    description: "Seconds to wait before retrying.",
    schema: { type: "integer", minimum: 0 },
    example: 5,
  },
  "x-should-retry": {
    description: "`false`: a retry would fail again. OpenAI's clients respect this header.",
    schema: { type: "string", enum: ["false"] },
    example: "false",
  },
  "idempotent-replayed": {
    description:
      "`true`: this is the stored response to an earlier request with the same `Idempotency-Key`.",
    schema: { type: "string", enum: ["true"] },
    example: "true",
  },
  "x-ratelimit-limit-requests": {
    description:
      "Maximum requests per minute, if limited. This and the next five headers are sent " +
      "with 200 and 429.",
    schema: { type: "integer", minimum: 1 },
    example: 60,
  },
  "x-ratelimit-remaining-requests": {
    description: "Remaining requests.",
    schema: { type: "integer", minimum: 0 },
    example: 59,
  },
  "x-ratelimit-reset-requests": {
    description: "Time until the full limit is available again: `250ms`, `12s`, `1m1s`.",
    schema: { type: "string" },
    example: "1m1s",
  },
  "x-ratelimit-limit-tokens": {
    description: "Maximum prompt and completion tokens per minute, if limited.",
    schema: { type: "integer", minimum: 1 },
    example: 20000,
  },
  "x-ratelimit-remaining-tokens": {
    description: "Remaining tokens; for a stream, at its start.",
    schema: { type: "integer", minimum: 0 },
    example: 19871,
  },
  "x-ratelimit-reset-tokens": {
    description: "Time until the full limit is available again.",
    schema: { type: "string" },
    example: "1m1s",
  },
  "www-authenticate": {
    description: "The authentication scheme.",
    schema: { type: "string", enum: ["Bearer"] },
    example: "Bearer",
  },
  "location": {
    description: "Path of the created resource.",
    schema: { type: "string" },
    example: "/v1/states/state_0123456789abcdef0123456789abcdef0123456789abcdef",
  },
  "content-disposition": {
    description: "Suggested file name.",
    schema: { type: "string" },
    example: 'attachment; filename="state_0123456789ab.rwkvstate"',
  },
};

/** Returns references to headers, for a response. */
export function headerRefs(...names: ResponseHeader[]): Record<string, { $ref: string }> {
  return Object.fromEntries(
    names.map((name) => [name, { $ref: `#/components/headers/${name}` }]),
  );
}
