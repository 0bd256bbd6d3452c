/** A trie of a vocabulary's tokens, so that tokens with a common prefix are matched together. */

import type { TokenTable } from "../core/sampling.ts";

/** A trie in flat arrays. Nodes are in depth-first order, so a node precedes its descendants. */
export interface TokenTrie {
  /** Number of nodes without the root. */
  size: number;
  /** `[size]`: the byte that leads to each node. */
  bytes: Uint8Array;
  /** `[size]`: bytes from the root to each node, 1 or more. */
  depths: Uint16Array;
  /** `[size]`: the first node after each node's subtree. */
  ends: Uint32Array;
  /** `[size + 1]`: start of each node's tokens in `ids`. */
  tokens: Uint32Array;
  ids: Uint32Array;
  /** Size of the vocabulary, including banned tokens. */
  vocabulary: number;
  bytesOf(id: number): Uint8Array;
}

/** Builds the trie of all tokens that are not banned. */
export function tokenTrie({ bytes: all, offsets, banned }: TokenTable): TokenTrie {
  const vocabulary = banned.length;
  const bytesOf = (id: number) => all.subarray(offsets[id], offsets[id + 1]);
  const ids = Uint32Array.from(banned.keys())
    .filter((id) => banned[id] === 0 && offsets[id + 1] > offsets[id])
    .sort((a, b) => compare(bytesOf(a), bytesOf(b)));
  const capacity = ids.reduce((sum, id) => sum + offsets[id + 1] - offsets[id], 0);
  const bytes = new Uint8Array(capacity);
  const depths = new Uint16Array(capacity);
  const ends = new Uint32Array(capacity);
  const tokens = new Uint32Array(capacity + 1);
  /** Path from the root to the last node. */
  const path: number[] = [];
  let size = 0;
  let previous: Uint8Array = new Uint8Array();
  ids.forEach((id, at) => {
    const token = bytesOf(id);
    const shared = sharedLength(previous, token);
    for (const node of path.splice(shared)) ends[node] = size;
    for (let i = shared; i < token.length; i++) {
      bytes[size] = token[i];
      depths[size] = i + 1;
      tokens[size] = at;
      path.push(size++);
    }
    previous = token;
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
