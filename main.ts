/** For `deno serve main.ts`: the worker as a `fetch` handler. */

export { default } from "./deploy/worker.ts";
