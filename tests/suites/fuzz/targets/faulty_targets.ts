/** Faulty parsers that test the fuzzer itself. Their name states their fault. */

import type { Target } from "../target.ts";

/**
 * Long enough for the fuzzer to notice, in milliseconds; a busy Worker cannot be stopped earlier.
 */
const BUSY_MS = 1_500;

function busy(): void {
  const end = performance.now() + BUSY_MS;
  while (performance.now() < end);
}

const FAULTS: Record<string, () => Promise<unknown> | unknown> = {
  hangs: busy,
  allocates: () => new Float64Array(1_000_000),
  grows: () => {
    const buffers = Array.from({ length: 600 }, () => new Uint8Array(1 << 20).fill(1));
    busy();
    return buffers;
  },
  throws: () => {
    throw new TypeError("undefined is no function");
  },
  rejects: () => {
    Promise.reject(new Error("not awaited"));
  },
};

/** Each fails in one case of four. */
export const FAULTY_TARGETS: readonly Target[] = Object.entries(FAULTS).map(([name, fault]) => ({
  name: `faulty-${name}`,
  corpus: [Uint8Array.of(0), Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)],
  words: [],
  most: 1,
  allocates: (size) => size + 1000,
  read: async (bytes) => {
    if (bytes[0] === 3) await fault();
    return "accepted";
  },
}));
