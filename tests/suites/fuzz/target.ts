/** What is fuzzed, and what must hold of it. */

import type { Material } from "./mutator.ts";

/** A parser, as a function of bytes. */
export interface Target extends Material {
  /** What it is called on the command line. */
  name: string;
  /** Bytes of typed arrays that reading `size` bytes may make, all added up. */
  allocates: (size: number) => number;
  /** Cases that it gets for each hundred of a run; 1 unless told. */
  share?: number;
  /**
   * Reads the bytes to the end, and everything that they describe. Returns whether they are taken;
   * throws whatever the parser does. What is taken and not right is an `AssertionError`.
   */
  read(bytes: Uint8Array<ArrayBuffer>): Promise<"taken" | "refused">;
}

/** What a case came to. */
export type Outcome = "taken" | "refused" | { fault: string };
