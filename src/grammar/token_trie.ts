/** The tokens of a vocabulary by their bytes, so that those that begin alike are followed together. */

import type { TokenTable } from "../core/sampling.ts";

/** A tree with a node for every beginning of a token; nodes come before those that go on from them. */
export interface TokenTrie {
  /** Nodes, the root not counted. */
  size: number;
  /** `[size]`: the byte that leads to each node. */
  bytes: Uint8Array;
  /** `[size]`: bytes from the root to each node, 1 or more. */
  depths: Uint16Array;
  /** `[size]`: the first node that does not go on from this one. */
  ends: Uint32Array;
  /** `[size + 1]`: where the tokens that end at each node are among `ids`. */
  tokens: Uint32Array;
  ids: Uint32Array;
  /** Tokens of the vocabulary, banned ones included. */
  vocabulary: number;
  bytesOf(id: number): Uint8Array;
}

export function tokenTrie({ bytes: all, offsets, banned }: TokenTable): TokenTrie {
  const vocabulary = banned.length;
  const bytesOf = (id: number) => all.subarray(offsets[id], offsets[id + 1]);
  const ids = Uint32Array.from(banned.keys())
    .filter((id) => banned[id] === 0 && offsets[id + 1] > offsets[id])
    .sort((a, b) => compare(bytesOf(a), bytesOf(b)));
  const most = ids.reduce((sum, id) => sum + offsets[id + 1] - offsets[id], 0);
  const bytes = new Uint8Array(most);
  const depths = new Uint16Array(most);
  const ends = new Uint32Array(most);
  const tokens = new Uint32Array(most + 1);
  /** Nodes from the root to the last one. */
  const path: number[] = [];
  let size = 0;
  let before: Uint8Array = new Uint8Array();
  ids.forEach((id, at) => {
    const token = bytesOf(id);
    const shared = sharedLength(before, token);
    for (const node of path.splice(shared)) ends[node] = size;
    for (let i = shared; i < token.length; i++) {
      bytes[size] = token[i];
      depths[size] = i + 1;
      tokens[size] = at;
      path.push(size++);
    }
    before = token;
  });
  for (const node of path) ends[node] = size;
  tokens[size] = ids.length;
  return {
    size,
    bytes: bytes.slice(0, size),
    depths: depths.slice(0, size),
    ends: ends.slice(0, size),
    tokens: tokens.slice(0, size + 1),
    ids,
    vocabulary,
    bytesOf,
  };
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const shared = sharedLength(a, b);
  return shared === a.length || shared === b.length ? a.length - b.length : a[shared] - b[shared];
}

function sharedLength(a: Uint8Array, b: Uint8Array): number {
  let i = 0;
  while (i < a.length && i < b.length && a[i] === b[i]) i++;
  return i;
}
