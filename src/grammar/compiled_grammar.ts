/** A grammar compiled for a vocabulary: computes which tokens are allowed next. */

import type { TokenConstraint } from "../core/sampling.ts";
import { buildNodes, type BuildOptions } from "./build.ts";
import { Automaton, type AutomatonState } from "./automaton.ts";
import type { TokenTrie } from "./token_trie.ts";
import type { Grammar } from "./tree.ts";

/**
 * Work limit for one token, about 50 ms. If computing a mask exceeds it, the mask allows tokens of
 * one byte only: they suffice to continue any text and are cheap to find.
 */
const MAX_WORK = 300_000;

/** Cached token masks per grammar: 2 MB for 65,536 tokens. */
const MAX_CACHED_MASKS = 256;

export interface CompiledOptions extends Omit<BuildOptions, "writable" | "hasEndToken"> {
  trie: TokenTrie;
  endToken: number | null;
}

/** A grammar for one vocabulary. Requests with the same grammar share it and its cached masks. */
export class CompiledGrammar {
  readonly #automaton: Automaton;
  readonly #trie: TokenTrie;
  readonly #endToken: number | null;
  #cachedMasks = 0;

  /** @throws GrammarError if the grammar cannot be compiled */
  constructor(grammar: Grammar, { trie, endToken, ruleName }: CompiledOptions) {
    const { root, nodes } = buildNodes(grammar, {
      writable: writableBytes(trie),
      hasEndToken: endToken !== null,
      ruleName,
    });
    this.#automaton = new Automaton(root, nodes);
    this.#trie = trie;
    this.#endToken = endToken;
  }

  /** Creates a constraint for one reply. */
  createConstraint(): TokenConstraint {
    let state: AutomatonState | null = this.#automaton.start();
    return {
      tokenBitmask: () => {
        this.#evictIfFull();
        if (state === null) return Promise.resolve(this.#endOnly());
        state = this.#automaton.refresh(state);
        return Promise.resolve(this.#bitmaskOf(state));
      },
      accept: (token) => {
        state = state === null || token === this.#endToken ? null : this.#after(state, token);
      },
      close: () => state = null,
    };
  }

  #bitmaskOf(state: AutomatonState): Int32Array {
    if (state.tokenBitmask === null) {
      state.tokenBitmask = this.#computeBitmask(state, MAX_WORK) ??
        this.#computeBitmask(state, Infinity, 1)!;
      this.#cachedMasks++;
    }
    return state.tokenBitmask;
  }

  /** Clears the caches when they contain too many masks or states. */
  #evictIfFull(): void {
    if (this.#cachedMasks > MAX_CACHED_MASKS) this.#automaton.clear();
    else if (!this.#automaton.clearIfFull()) return;
    this.#cachedMasks = 0;
  }

  #after(state: AutomatonState, token: number): AutomatonState | null {
    const { bytesOf } = this.#trie;
    let next: AutomatonState | null = this.#automaton.refresh(state);
    for (const byte of bytesOf(token)) next = next && this.#automaton.advance(next, byte);
    if (next === null) {
      throw new Error(`Cannot accept token ${token}: the grammar does not allow it`);
    }
    return next;
  }

  /**
   * Computes the mask of the tokens that may follow a state.
   *
   * @param depth Longest token to consider, in bytes.
   * @returns `null` if the work exceeds `limit`.
   */
  #computeBitmask(state: AutomatonState, limit: number, depth = Infinity): Int32Array | null {
    const { size, bytes, depths, ends, tokens, ids, vocabulary } = this.#trie;
    const automaton = this.#automaton;
    const allowed = new Int32Array(Math.ceil(vocabulary / 32));
    if (state.accepting && this.#endToken !== null) allow(allowed, this.#endToken);
    const path = [state];
    automaton.work = 0;
    for (let node = 0; node < size;) {
      const to = depths[node] > depth
        ? null
        : automaton.advance(path[depths[node] - 1], bytes[node]);
      if (to === null) {
        node = ends[node];
        continue;
      }
      if (automaton.work > limit) return null;
      path[depths[node]] = to;
      for (let i = tokens[node]; i < tokens[node + 1]; i++) allow(allowed, ids[i]);
      node++;
    }
    return allowed;
  }

  #endOnly(): Int32Array {
    const allowed = new Int32Array(Math.ceil(this.#trie.vocabulary / 32));
    if (this.#endToken !== null) allow(allowed, this.#endToken);
    return allowed;
  }
}

function allow(allowed: Int32Array, id: number): void {
  allowed[id >> 5] |= 1 << (id & 31);
}

/** Returns the bytes that have a token of their own; any text made of these bytes can be produced. */
function writableBytes({ bytes, depths, tokens, size }: TokenTrie): Uint8Array {
  const writable = new Uint8Array(256);
  for (let node = 0; node < size; node++) {
    if (depths[node] === 1 && tokens[node] < tokens[node + 1]) writable[bytes[node]] = 1;
  }
  return writable;
}
