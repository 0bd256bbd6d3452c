/**
 * RWKV-5 for TypeScript: all of `lib.ts`, which runs anywhere, and what stands on Deno: the store of
 * recurrent states, conversations, and the HTTP application.
 *
 * @module
 */

// One list of the portable parts, which the package for Node is made of.
export * from "./lib.ts";
export { StateStore, type StateStoreOptions } from "./src/store/state_store.ts";
export { collectGarbage, type Garbage, type GarbageOptions } from "./src/store/gc.ts";
export { DenoKvBackend } from "./src/store/deno_kv.ts";
export { Sessions, type SessionsOptions } from "./src/session/sessions.ts";
export { type AppOptions, createApp } from "./routes/app.ts";
