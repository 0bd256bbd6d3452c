/** Vocabularies for constraints, and random texts that satisfy them. */

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

/** End-of-text id. */
export const END = 0;

const utf8 = new TextEncoder();

/** All bytes, tokens that span JSON delimiters and characters, and gaps. */
export const TOKENS: readonly (Uint8Array | undefined)[] = [
  undefined,
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  undefined,
  ...["\n\n", '"}', '":', '", "', '": "', " {", '{"', "true", "12", "00", "ab", "abc", "acab"]
    .map((text) => utf8.encode(text)),
  ...["é", "🎈", '"\n\n', "]]", "\\n", "\\u00"].map((text) => utf8.encode(text)),
  // The end of one character and the start of another.
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

/** Returns the single-byte token of a byte. */
export function byteToken(byte: number): number {
  return byte + 1;
}

export function isAllowed(allowed: Int32Array, id: number): boolean {
  return (allowed[id >> 5] >>> (id & 31) & 1) === 1;
}

/** Returns the ids that are allowed next. */
export async function allowedIds(constraint: TokenConstraint): Promise<number[]> {
  const allowed = await constraint.tokenBitmask();
  return [...TOKENS.keys()].filter((id) => isAllowed(allowed, id));
}

/** Returns whether a constraint accepts `text`, byte by byte, and can end after it. */
export async function accepts(of: Constraint, text: string | Uint8Array): Promise<boolean> {
  const constraint = await constrain(of);
  for (const byte of typeof text === "string" ? utf8.encode(text) : text) {
    if (!isAllowed(await constraint.tokenBitmask(), byteToken(byte))) return false;
    constraint.accept(byteToken(byte));
  }
  return isAllowed(await constraint.tokenBitmask(), END);
}

/** Tokens that can end a text or a part of it, preferred first. */
const ENDS = [END, ...utf8.encode('"]}').map(byteToken)];

/**
 * Generates a random text. After `limit / 2` tokens, prefers tokens that close something.
 *
 * @returns The text as displayed, or `null` if it has not ended.
 */
export async function generateText(
  of: Constraint,
  random: () => number,
  limit = 400,
): Promise<string | null> {
  const constraint = await constrain(of);
  const bytes: number[] = [];
  for (let i = 0; i < limit; i++) {
    const ids = await allowedIds(constraint);
    assert.ok(ids.length > 0, `no token is allowed after ${JSON.stringify(shown(bytes))}`);
    const end = i > limit / 2 || random() < 0.2 ? ENDS.find((id) => ids.includes(id)) : undefined;
    const id = end ?? ids[Math.floor(random() * ids.length)];
    constraint.accept(id);
    if (id === END) return shown(bytes);
    bytes.push(...TOKENS[id]!);
    if (/\n\n/.test(String.fromCharCode(...bytes.slice(-3)))) return shown(bytes);
  }
  return null;
}

/** Returns a reply as displayed: without its leading space and final empty line. */
function shown(bytes: readonly number[]): string {
  return new TextDecoder().decode(Uint8Array.from(bytes)).split("\n\n")[0].trimStart();
}

/** Creates an independent JSON Schema validator. */
export function schemaValidator(schema: object): (json: string) => boolean {
  const ajv = new Ajv2020({ strict: false, logger: false });
  addFormats.default(ajv);
  const valid = ajv.compile(schema);
  return (json) => valid(JSON.parse(json)) === true;
}

export function ofSchema(schema: unknown) {
  return { type: "json_schema", schema: JSON.stringify(schema) } as const satisfies Constraint;
}

/** Asserts that a constraint is rejected with `invalid_value`; returns the message. */
export async function rejectionMessage(of: Constraint): Promise<string> {
  const error = await constrain(of).then(() => null, (error: unknown) => error);
  const shown = JSON.stringify(of).slice(0, 200);
  assert.ok(error instanceof InferenceError, `${shown} is not rejected: ${error}`);
  assert.equal(error.code, "invalid_value");
  return error.message;
}
