/** Shared by the store's tests: models, contents, a backend that dies, a temporary folder. */

import type { Backend } from "../../src/store/backends/backend.ts";
import type { StateContent } from "../../src/store/states/state_store.ts";
import { BackendWrapper } from "../support/faults/backend_wrapper.ts";

export const MODEL = { id: "demo", fingerprint: "sha256:aaaa" };
export const OTHER_MODEL = { id: "other", fingerprint: "sha256:bbbb" };

/** Bytes that tell `seed` at every position. */
export function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + seed) & 255;
  return bytes;
}

/** A state of `length` bytes, a turn that names it, and `told` bytes of what came before. */
export function content(
  seed: number,
  { length = 200_000, open = false, told = 0 } = {},
): StateContent & { history: Uint8Array | null } {
  const turn = new TextEncoder().encode(JSON.stringify({ seed, length }));
  const history = told === 0 ? null : pattern(told, seed + 1);
  return { state: pattern(length, seed), turn, history, open };
}

export class ProcessDied extends Error {}

/** Lets `writes` atomics through, then dies in one: before it took place, or just after. */
export class DyingBackend extends BackendWrapper {
  readonly #after: boolean;
  #left: number;

  constructor(inner: Backend, { writes, after }: { writes: number; after: boolean }) {
    super(inner);
    this.#left = writes;
    this.#after = after;
  }

  protected async intercept<T>(operation: () => Promise<T>, writes: boolean): Promise<T> {
    if (this.#left < 0) throw new ProcessDied();
    if (!writes || this.#left-- > 0) return await operation();
    if (this.#after) await operation();
    throw new ProcessDied();
  }
}

export async function withTempFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "rwkv-store-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
