/** Parsers with faults, by which the fuzzer itself is tested. Their input tells what they do. */

import type { Target } from "../target.ts";

/** Milliseconds in which whoever watches has seen it; a busy Worker cannot be ended before. */
const SEEN_MS = 1_500;

function busy(): void {
  const end = performance.now() + SEEN_MS;
  while (performance.now() < end);
}

const FAULTS: Record<string, () => Promise<unknown> | unknown> = {
  hangs: busy,
  allocates: () => new Float64Array(1_000_000),
  grows: () => {
    const kept = Array.from({ length: 600 }, () => new Uint8Array(1 << 20).fill(1));
    busy();
    return kept;
  },
  throws: () => {
    throw new TypeError("undefined is no function");
  },
  rejects: () => {
    Promise.reject(new Error("nobody awaits this"));
  },
};

/** Each does wrong in one case of four. */
export const FAULTY_TARGETS: readonly Target[] = Object.entries(FAULTS).map(([name, fault]) => ({
  name: `faulty-${name}`,
  corpus: [Uint8Array.of(0), Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)],
  words: [],
  most: 1,
  allocates: (size) => size + 1000,
  read: async (bytes) => {
    if (bytes[0] === 3) await fault();
    return "taken";
  },
}));
