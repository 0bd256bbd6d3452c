/** The backends of the state store, by the address in `--kv`. */

import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { InferenceError } from "../../core/errors.ts";
import type { Backend } from "./backend.ts";
import { DenoKvBackend, type DenoKvOptions } from "./deno_kv.ts";

/** Where a store keeps its data. */
export type StoreKind = "memory" | "file" | "server";

/** Callbacks of a backend. */
export type BackendOptions = Pick<DenoKvOptions, "onChange" | "onRetry">;

/** A kind of address and the backend for it. */
interface BackendEntry {
  readonly kind: StoreKind;
  /** Whether the backend serves this address. */
  readonly matches: (address: string) => boolean;
  readonly open: (address: string, options: BackendOptions) => Promise<Backend>;
  /** Fails if nothing was stored at this address yet. */
  readonly assertExists?: (address: string) => Promise<void>;
}

/** All backends. The first one that matches an address is used; a path matches last. */
const BACKENDS: readonly BackendEntry[] = [
  {
    kind: "memory",
    matches: (address) => address === ":memory:",
    open: (address, options) => DenoKvBackend.open(address, options),
  },
  {
    kind: "server",
    matches: (address) => /^https?:\/\//.test(address),
    open: (address, options) => DenoKvBackend.open(address, options),
  },
  { kind: "file", matches: () => true, open: openFile, assertExists: assertFileExists },
];

/** Returns where the store at an address keeps its data. */
export function storeKind(address: string): StoreKind {
  return backendFor(address).kind;
}

/**
 * Opens the store at an address, and creates it if it does not exist.
 *
 * @throws InferenceError `file_error`, or an error of the backend
 */
export function openStore(address: string, options: BackendOptions = {}): Promise<Backend> {
  return backendFor(address).open(address, options);
}

/**
 * Opens the store at an address that must exist already.
 *
 * @throws InferenceError `file_error` if it does not exist, or an error of the backend
 */
export async function openExistingStore(address: string): Promise<Backend> {
  await backendFor(address).assertExists?.(address);
  return await openStore(address);
}

function backendFor(address: string): BackendEntry {
  return BACKENDS.find(({ matches }) => matches(address))!;
}

async function openFile(path: string, options: BackendOptions): Promise<Backend> {
  try {
    await mkdir(dirname(path), { recursive: true });
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new InferenceError(
      "file_error",
      `Cannot store states in ${path}: ${(cause as Error).message}; set another path with --kv`,
      { cause, param: "kv" },
    );
  }
  return await DenoKvBackend.open(path, options);
}

async function assertFileExists(path: string): Promise<void> {
  await stat(path).catch((cause) => {
    const message =
      `Cannot find states in ${path}: there is no such file; set the path of the store with --kv`;
    throw new InferenceError("file_error", message, { cause, param: "kv" });
  });
}
