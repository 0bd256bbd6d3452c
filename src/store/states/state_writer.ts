/**
 * Writes states: first the blobs, then the manifest and the pointers to it in one atomic write. A
 * writer that is killed in between leaves nothing that looks like a state.
 */

import { InferenceError } from "../../core/errors.ts";
import type { Check } from "../backends/backend.ts";
import type { Blobs } from "./blobs.ts";
import type { Conversations } from "./conversations.ts";
import { blobsOf, identityOf, type Manifest } from "./manifest.ts";
import type { PrefixIndex } from "./prefix_index.ts";
import type { StateInfo, StateRows } from "./state_rows.ts";
import { isCode } from "./store_errors.ts";
import type { NewState, StateContent, StateNames, StoredState } from "./store_types.ts";

/** Attempts to store a state whose row was renewed or whose conversation was changed. */
const PUT_ATTEMPTS = 8;

export interface StateWriterOptions {
  blobs: Blobs;
  rows: StateRows;
  conversations: Conversations;
  prefixes: PrefixIndex;
  /** Epoch milliseconds. */
  now: () => number;
  /** Default lifetime of a state in milliseconds. */
  ttl: number;
}

/** Writes states of one tenant. */
export class StateWriter {
  readonly #options: StateWriterOptions;
  readonly #blobs: Blobs;
  readonly #rows: StateRows;
  readonly #now: () => number;
  readonly #ttl: number;

  constructor(options: StateWriterOptions) {
    this.#options = options;
    this.#blobs = options.blobs;
    this.#rows = options.rows;
    this.#now = options.now;
    this.#ttl = options.ttl;
  }

  /** See `StateStore.begin`. */
  async begin(
    parent: StateInfo | null,
    turn: Uint8Array,
    { id, model, ttl = this.#ttl, note }: NewState & Pick<StateContent, "note">,
  ): Promise<StateInfo | null> {
    const now = this.#now();
    const { state = null, history } = parent ?? {};
    const shared = [state, history].map((blob) => blob?.expires ?? Infinity);
    const expires = Math.min(now + ttl, ...shared);
    const [turnBlob, noteBlob] = await Promise.all([
      this.#blobs.write(turn, expires),
      note ? this.#blobs.write(note, expires) : null,
    ]);
    const manifest: Manifest = {
      version: 1,
      model: identityOf(model),
      created: now,
      expires,
      ttl,
      parent: parent?.id ?? null,
      open: true,
      ...tokensOf(parent ?? { tokens: 0 }),
      ...(parent?.imported ? { imported: true } : {}),
      state,
      turn: turnBlob,
      ...(history === undefined ? {} : { history }),
      ...(noteBlob === null ? {} : { note: noteBlob }),
    };
    const checks = parent === null ? [] : [this.#unchanged(parent)];
    const info = await this.#rows.put(id, manifest, { checks });
    if (info !== null) return info;
    await this.#rows.collect([turnBlob, noteBlob ?? []].flat());
    if (parent !== null) await this.#rows.read(parent.id);
    return null;
  }

  /** See `StateStore.commit`. */
  async commit(begun: StateInfo, content: StateContent, names?: StateNames): Promise<StoredState> {
    const manifest = await this.#write(content, begun);
    const stored = await this.#put(begun.id, manifest, {
      replaces: begun,
      orRenewed: true,
      names,
    });
    if (stored === null) {
      throw new InferenceError(
        "state_not_found",
        `Cannot store state "${begun.id}": it was deleted while its turn was running`,
        { param: "state_id" },
      );
    }
    return stored;
  }

  /** See `StateStore.save`. */
  async save(
    content: StateContent,
    { id, model, parent, created = Infinity, ttl = this.#ttl, ...names }:
      & NewState
      & StateNames
      & { parent: string | null; created?: number },
  ): Promise<StoredState> {
    const made = Math.min(created, this.#now());
    const manifest = await this.#write(content, { model, parent, created: made, ttl });
    const stored = await this.#put(id, manifest, { replaces: null, names });
    // `begin` may have been applied although its response was lost.
    return stored ?? await this.commit(await this.#rows.read(id), content, names);
  }

  /** Rewrites a state with a new lifetime. Returns whether it still existed. */
  async rewrite(info: StateInfo, content: StateContent): Promise<boolean> {
    const manifest = await this.#write(content, info);
    const { prefix, imported } = info;
    const names = { prefix, imported };
    return await this.#put(info.id, manifest, { replaces: info, names }) !== null;
  }

  /** Writes the blobs of a state and returns its manifest. */
  async #write(
    { state, turn, history, note, open, tokens }: StateContent,
    { model, parent, created, ttl = this.#ttl }: Pick<
      Manifest,
      "model" | "parent" | "created" | "ttl"
    >,
  ): Promise<Manifest> {
    const expires = this.#now() + ttl;
    const [stateBlob, turnBlob, historyBlob, noteBlob] = await Promise.all([
      state && this.#blobs.write(state, expires),
      this.#blobs.write(turn, expires),
      history?.length ? this.#blobs.write(history, expires) : null,
      note?.length ? this.#blobs.write(note, expires) : null,
    ]);
    return {
      version: 1,
      model: identityOf(model),
      created,
      expires,
      ttl,
      parent,
      open,
      ...tokensOf({ tokens }),
      state: stateBlob,
      turn: turnBlob,
      ...(historyBlob === null ? {} : { history: historyBlob }),
      ...(noteBlob === null ? {} : { note: noteBlob }),
    };
  }

  /**
   * Writes a manifest and the pointers to it. A conversation that was moved concurrently is not
   * changed. Blobs of the replaced manifest are deleted unless another state references them.
   *
   * @param options.orRenewed Whether to also replace a manifest that was only renewed since `replaces`.
   * @returns `null` if the manifest to replace did not exist; the new blobs are deleted then.
   */
  async #put(
    id: string,
    manifest: Manifest,
    { replaces, orRenewed = false, names = {} }: {
      replaces: StateInfo | null;
      orRenewed?: boolean;
      names?: StateNames | undefined;
    },
  ): Promise<StoredState | null> {
    const { conversation, imported = false } = names;
    const prefix = imported ? undefined : names.prefix;
    const named: Manifest = {
      ...manifest,
      ...(prefix === undefined ? {} : { prefix }),
      ...(imported ? { imported } : {}),
    };
    const lifetime = Math.max(1, manifest.expires - this.#now());
    const rows = prefix === undefined ? [] : this.#options.prefixes.rows(prefix, id, lifetime);
    let current = conversation ?? null;
    for (let attempt = 0;; attempt++) {
      const move = current && this.#options.conversations.move(current, id, lifetime);
      const info = await this.#rows.put(id, named, {
        replaces,
        checks: move ? [move.check] : [],
        mutations: move ? [...rows, move.mutation] : rows,
      });
      if (info !== null) {
        if (replaces !== null) await this.#rows.collect(blobsOf(replaces));
        return { ...info, moved: conversation === undefined || current !== null };
      }
      const last = attempt >= PUT_ATTEMPTS;
      const renewed = last || replaces === null || !orRenewed
        ? null
        : await this.#renewed(replaces);
      if (renewed !== null) {
        replaces = renewed;
        continue;
      }
      if (current === null) break;
      // The metadata may have changed during the turn.
      current = last ? null : await this.#options.conversations.rereadIfUnmoved(current);
    }
    await this.#rows.collect(blobsOf(manifest));
    return null;
  }

  /** Returns the current manifest if it differs from `seen` only by a renewal, or null. */
  async #renewed(seen: StateInfo): Promise<StateInfo | null> {
    try {
      const info = await this.#rows.read(seen.id);
      const replaced = info.versionstamp !== seen.versionstamp;
      return replaced && info.open === seen.open && sameBytes(info, seen) ? info : null;
    } catch (error) {
      if (isCode(error, "state_not_found")) return null;
      throw error;
    }
  }

  #unchanged({ id, versionstamp }: StateInfo): Check {
    return { key: this.#rows.stateKey(id), versionstamp };
  }
}

function sameBytes(one: Manifest, other: Manifest): boolean {
  const sums = (manifest: Manifest) => blobsOf(manifest).map(({ sha256 }) => sha256).join();
  return sums(one) === sums(other);
}

/** Returns the token count as a manifest stores it. */
export function tokensOf({ tokens }: Pick<StateContent, "tokens">): Pick<Manifest, "tokens"> {
  return tokens === undefined ? {} : { tokens };
}
