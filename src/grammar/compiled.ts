/** A grammar over the tokens of a vocabulary: which of them may come next. */

import type { TokenConstraint } from "../core/sampling.ts";
import { buildNodes, type BuildOptions } from "./build.ts";
import { type State, States } from "./states.ts";
import type { TokenTrie } from "./token_trie.ts";
import type { Grammar } from "./tree.ts";

/**
 * Work for one token, about 50 ms of it. Where a grammar takes more, only tokens of one byte may come
 * next: they always suffice, and are soon found.
 */
const MAX_WORK = 300_000;

/** Sets of allowed tokens that a grammar keeps: 2 MB of them for 65,536 tokens. */
const MAX_KEPT = 256;

export interface CompiledOptions extends Omit<BuildOptions, "writable" | "endToken"> {
  trie: TokenTrie;
  endToken: number | null;
}

export class CompiledGrammar {
  readonly #states: States;
  readonly #trie: TokenTrie;
  readonly #endToken: number | null;
  #kept = 0;

  /** @throws Refusal for a grammar that can't be held */
  constructor(grammar: Grammar, { trie, endToken, nameOf }: CompiledOptions) {
    const { root, nodes } = buildNodes(grammar, {
      writable: writableBytes(trie),
      endToken: endToken !== null,
      nameOf,
    });
    this.#states = new States(root, nodes);
    this.#trie = trie;
    this.#endToken = endToken;
  }

  begin(): TokenConstraint {
    let state: State | null = this.#states.start();
    return {
      tokenBitmask: () => {
        this.#tidy();
        if (state === null) return Promise.resolve(this.#onlyEnd());
        state = this.#states.current(state);
        return Promise.resolve(this.#allowedIn(state));
      },
      accept: (token) => {
        state = state === null || token === this.#endToken ? null : this.#after(state, token);
      },
      close: () => state = null,
    };
  }

  #allowedIn(state: State): Int32Array {
    if (state.allowed === null) {
      state.allowed = this.#work(state, MAX_WORK) ?? this.#work(state, Infinity, 1)!;
      this.#kept++;
    }
    return state.allowed;
  }

  /** Forgets what has become too much to keep. */
  #tidy(): void {
    if (this.#kept > MAX_KEPT) this.#states.forget();
    else if (!this.#states.tidy()) return;
    this.#kept = 0;
  }

  #after(state: State, token: number): State | null {
    const { bytesOf } = this.#trie;
    let to: State | null = this.#states.current(state);
    for (const byte of bytesOf(token)) to = to && this.#states.after(to, byte);
    if (to === null) throw new Error(`The token ${token} was not allowed`);
    return to;
  }

  /** @returns `null` if it took more work than `limit`. */
  #work(state: State, limit: number, depth = Infinity): Int32Array | null {
    const { size, bytes, depths, ends, tokens, ids, vocabulary } = this.#trie;
    const states = this.#states;
    const allowed = new Int32Array(Math.ceil(vocabulary / 32));
    if (state.ends && this.#endToken !== null) allow(allowed, this.#endToken);
    const path = [state];
    states.work = 0;
    for (let node = 0; node < size;) {
      const to = depths[node] > depth ? null : states.after(path[depths[node] - 1], bytes[node]);
      if (to === null) {
        node = ends[node];
        continue;
      }
      if (states.work > limit) return null;
      path[depths[node]] = to;
      for (let i = tokens[node]; i < tokens[node + 1]; i++) allow(allowed, ids[i]);
      node++;
    }
    return allowed;
  }

  #onlyEnd(): Int32Array {
    const allowed = new Int32Array(Math.ceil(this.#trie.vocabulary / 32));
    if (this.#endToken !== null) allow(allowed, this.#endToken);
    return allowed;
  }
}

function allow(allowed: Int32Array, id: number): void {
  allowed[id >> 5] |= 1 << (id & 31);
}

/** Bytes that are a token of their own: whatever is made of them can be written. */
function writableBytes({ bytes, depths, tokens, size }: TokenTrie): Uint8Array {
  const writable = new Uint8Array(256);
  for (let node = 0; node < size; node++) {
    if (depths[node] === 1 && tokens[node] < tokens[node + 1]) writable[bytes[node]] = 1;
  }
  return writable;
}
