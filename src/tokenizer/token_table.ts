/** A tokenizer's ids as a table, for sampling. */

import { toHex } from "../core/hex.ts";
import type { TokenTable } from "../core/sampling.ts";
import { sha256 } from "../core/sha256.ts";

/** What must be known of a tokenizer. */
export interface TokenVocabulary {
  /** Bytes of a token; `undefined` where the id is none, or has none. */
  tokenBytes(id: number): Uint8Array | undefined;
  /** Id that ends a text, if there is one. */
  readonly endOfText: number | null;
  /** No id is as large. */
  readonly size: number;
}

/** The bytes of all ids; those that are no token's are banned. */
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
 * 24 hexadecimal digits of SHA-256 over all ids and their bytes, and the id that ends a text: the
 * same for the same vocabulary, however its file is written.
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
