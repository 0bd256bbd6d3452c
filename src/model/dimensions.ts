/** Sizes and version of an RWKV-5 model, as its tensors tell them. */

/** Versions of RWKV-5. */
export type Version = "5.0" | "5.1" | "5.2";

/** Version and sizes of a model. */
export interface Dimensions {
  /** 5.0 has a decay and a bonus for each head, 5.1 gates too, 5.2 has them for each channel. */
  version: Version;
  /** Blocks. */
  layers: number;
  /** Width C of the residual stream, `heads * headSize`. */
  width: number;
  /** Heads of the recurrence; each has a state of N x N numbers. */
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
