/** The interface of a fuzzing target. */

import type { Material } from "./mutator.ts";

/** A parser as a function of bytes. */
export interface Target extends Material {
  /** Its name on the command line. */
  name: string;
  /** Returns the maximum total of typed array bytes that reading `size` bytes may allocate. */
  allocates: (size: number) => number;
  /** Its share of the cases of a run; 1 by default. */
  share?: number;
  /**
   * Parses the bytes completely, including everything that they describe. Returns whether the
   * parser accepted them, and passes on the parser's errors. A wrong result of accepted bytes
   * throws an `AssertionError`.
   */
  read(bytes: Uint8Array<ArrayBuffer>): Promise<"accepted" | "rejected">;
}

/** The outcome of a case. */
export type Outcome = "accepted" | "rejected" | { fault: string };
