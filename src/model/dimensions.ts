/** Sizes and version of an RWKV-5 model, as its tensors tell them. */

export type Version = "5.0" | "5.1" | "5.2";

export interface Dimensions {
  version: Version;
  layers: number;
  /** Width C of the residual stream, `heads * headSize`. */
  width: number;
  heads: number;
  /** N, a multiple of 4. */
  headSize: number;
  /** Width of the channel mix's hidden layer. */
  ffnWidth: number;
  /** Rows of the embedding and of the head; ids are below this. */
  vocabulary: number;
  /** 1e-5 times the square of head_size_divisor. */
  groupNormEps: number;
}

/** Numbers in one state: `layers * C * (N + 2)`. */
export function stateLength({ layers, width, headSize }: Dimensions): number {
  return layers * width * (headSize + 2);
}
