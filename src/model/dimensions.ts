/** Sizes and version of an RWKV model, derived from its tensors. */

/** Versions of RWKV-5. */
export type Version = "5.0" | "5.1" | "5.2";

/** Version and sizes of a model. */
export interface Dimensions {
  /** 5.0 has decay and bonus per head, 5.1 adds gates, 5.2 has decay and bonus per channel. */
  version: Version;
  /** Number of blocks. */
  layers: number;
  /** Width C of the residual stream, equal to `heads * headSize`. */
  width: number;
  /** Number of heads; each has a state of N x N numbers. */
  heads: number;
  /** Head size N, a multiple of 4. */
  headSize: number;
  /** Width of the channel mix's hidden layer. */
  ffnWidth: number;
  /** Vocabulary size: rows of the embedding and of the head. */
  vocabulary: number;
  /** 1e-5 times the square of head_size_divisor. */
  groupNormEps: number;
}
