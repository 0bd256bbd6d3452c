/** Vocabularies for constraints, and texts that are written by chance within them. */

import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { InferenceError } from "../../src/core/errors.ts";
import type {
  Constraint,
  CreateTokenConstraint,
  TokenConstraint,
} from "../../src/core/sampling.ts";
import { createTokenConstraints } from "../../src/grammar/token_constraints.ts";
import { tokenTable } from "../../src/tokenizer/token_table.ts";

/** The id that ends a reply. */
export const END = 0;

const utf8 = new TextEncoder();

/** All bytes, longer tokens that stand across the parts of JSON and of characters, and gaps. */
export const TOKENS: readonly (Uint8Array | undefined)[] = [
  undefined,
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  undefined,
  ...["\n\n", '"}', '":', '", "', '": "', " {", '{"', "true", "12", "00", "ab", "abc", "acab"]
    .map((text) => utf8.encode(text)),
  ...["é", "🎈", '"\n\n', "]]", "\\n", "\\u00"].map((text) => utf8.encode(text)),
  // Ends of one character, and beginnings of another.
  Uint8Array.of(0xc3),
  Uint8Array.of(0xa9, 0x22),
  Uint8Array.of(0x61, 0xf0, 0x9f),
  Uint8Array.of(0x8e, 0x88, 0x7d),
  undefined,
];

export const TABLE = tokenTable({
  size: TOKENS.length,
  endOfText: END,
  tokenBytes: (id) => id === END ? new Uint8Array() : TOKENS[id],
});

export const constrain: CreateTokenConstraint = createTokenConstraints(TABLE, { endToken: END });

/** The token of a byte alone. */
export function byteToken(byte: number): number {
  return byte + 1;
}

export function isAllowed(allowed: Int32Array, id: number): boolean {
  return (allowed[id >> 5] >>> (id & 31) & 1) === 1;
}

/** Ids that may come next. */
export async function allowedIds(constraint: TokenConstraint): Promise<number[]> {
  const allowed = await constraint.tokenBitmask();
  return [...TOKENS.keys()].filter((id) => isAllowed(allowed, id));
}

/** Whether a constraint takes `text`, byte by byte, and may end then. */
export async function takes(of: Constraint, text: string | Uint8Array): Promise<boolean> {
  const constraint = await constrain(of);
  for (const byte of typeof text === "string" ? utf8.encode(text) : text) {
    if (!isAllowed(await constraint.tokenBitmask(), byteToken(byte))) return false;
    constraint.accept(byteToken(byte));
  }
  return isAllowed(await constraint.tokenBitmask(), END);
}

/** What a text may end with, the best first. */
const ENDS = [END, ...utf8.encode('"]}').map(byteToken)];

/**
 * Writes by chance, after `limit / 2` tokens such as end something.
 *
 * @returns The text as it is shown; `null` if it has not ended.
 */
export async function write(
  of: Constraint,
  random: () => number,
  limit = 400,
): Promise<string | null> {
  const constraint = await constrain(of);
  const bytes: number[] = [];
  for (let i = 0; i < limit; i++) {
    const ids = await allowedIds(constraint);
    assert.ok(ids.length > 0, `a dead end after ${JSON.stringify(shown(bytes))}`);
    const end = i > limit / 2 || random() < 0.2 ? ENDS.find((id) => ids.includes(id)) : undefined;
    const id = end ?? ids[Math.floor(random() * ids.length)];
    constraint.accept(id);
    if (id === END) return shown(bytes);
    bytes.push(...TOKENS[id]!);
    if (/\n\n/.test(String.fromCharCode(...bytes.slice(-3)))) return shown(bytes);
  }
  return null;
}

/** As a reply is shown: without the space before it and the empty line that ends it. */
function shown(bytes: readonly number[]): string {
  return new TextDecoder().decode(Uint8Array.from(bytes)).split("\n\n")[0].trimStart();
}

/** An independent judge of JSON. */
export function judge(schema: object): (json: string) => boolean {
  const ajv = new Ajv2020({ strict: false, logger: false });
  addFormats.default(ajv);
  const valid = ajv.compile(schema);
  return (json) => valid(JSON.parse(json)) === true;
}

export function ofSchema(schema: unknown) {
  return { type: "json_schema", schema: JSON.stringify(schema) } as const satisfies Constraint;
}

/** Asserts that a constraint is refused, as a request's own fault; returns what is told. */
export async function refused(of: Constraint): Promise<string> {
  const error = await constrain(of).then(() => null, (error: unknown) => error);
  const shown = JSON.stringify(of).slice(0, 200);
  assert.ok(error instanceof InferenceError, `${shown} is not refused: ${error}`);
  assert.equal(error.code, "invalid_value");
  return error.message;
}
