/** Converts a tokenizer's vocabulary to the token table of the sampler. */

import { toHex } from "../core/hex.ts";
import type { TokenTable } from "../core/sampling.ts";
import { sha256 } from "../core/sha256.ts";

/** The part of a tokenizer that the table needs. */
export interface TokenVocabulary {
  /** Returns the bytes of a token, or `undefined` if the id has no token. */
  tokenBytes(id: number): Uint8Array | undefined;
  /** End-of-text id, or `null`. */
  readonly endOfText: number | null;
  /** Largest id plus one. */
  readonly size: number;
}

/** Returns the bytes of all ids. Ids without a token are banned. */
export function tokenTable(tokenizer: TokenVocabulary): TokenTable {
  const { size, endOfText } = tokenizer;
  const tokens = Array.from({ length: size }, (_, id) => tokenizer.tokenBytes(id));
  const offsets = new Uint32Array(size + 1);
  tokens.forEach((bytes, id) => offsets[id + 1] = offsets[id] + (bytes?.length ?? 0));
  const bytes = new Uint8Array(offsets[size]);
  tokens.forEach((token, id) => bytes.set(token ?? [], offsets[id]));
  const banned = tokens.map((token, id) => token === undefined && id !== endOfText ? 1 : 0);
  return { bytes, offsets, banned: Uint8Array.from(banned) };
}

/**
 * Returns 24 hexadecimal digits of the SHA-256 of all tokens and the end-of-text id. The hash does not
 * depend on the file format of the vocabulary.
 */
export async function vocabularyHash(
  { bytes, offsets, banned }: TokenTable,
  endOfText: number | null,
): Promise<string> {
  const head = new TextEncoder().encode(`rwkv vocabulary ${banned.length} ${endOfText}\n`);
  const lengths = new DataView(new ArrayBuffer(4 * offsets.length));
  offsets.forEach((offset, i) => lengths.setUint32(4 * i, offset, true));
  const all = await new Blob([
    head,
    lengths,
    banned as Uint8Array<ArrayBuffer>,
    bytes as Uint8Array<ArrayBuffer>,
  ]).bytes();
  return toHex(await sha256(all)).slice(0, 24);
}
