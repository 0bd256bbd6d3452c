/** Which ids of a model's head must never be sampled. */

/** What must be known of a tokenizer. */
export interface TokenTable {
  tokenBytes(id: number): Uint8Array | undefined;
  readonly endOfText: number | null;
}

/**
 * Padding of the head: ids that no token has.
 *
 * @param rows Rows of the head.
 * @returns 1 at such ids, `rows` long.
 */
export function unusedIds(table: TokenTable, rows: number): Uint8Array {
  return Uint8Array.from(
    { length: rows },
    (_, id) => table.tokenBytes(id) === undefined && id !== table.endOfText ? 1 : 0,
  );
}
