/** Sizes of the published RWKV-5 World models. */

import type { Dimensions } from "./dimensions.ts";

/** A size, as the models are named by. */
export type Shape = "0.1b" | "0.4b" | "1.5b" | "3b" | "7b";

/** Layers and width. */
const SIZES: Readonly<Record<Shape, readonly [number, number]>> = {
  "0.1b": [12, 768],
  "0.4b": [24, 1024],
  "1.5b": [24, 2048],
  "3b": [32, 2560],
  "7b": [32, 4096],
};

/** All sizes, the smallest first. */
export const SHAPES = Object.keys(SIZES) as readonly Shape[];

const HEAD_SIZE = 64;

/** Dimensions of a model of version 5.2 of a published size. */
export function dimensionsOf(shape: Shape): Dimensions {
  const [layers, width] = SIZES[shape];
  return {
    version: "5.2",
    layers,
    width,
    heads: width / HEAD_SIZE,
    headSize: HEAD_SIZE,
    ffnWidth: 3.5 * width,
    vocabulary: 65536,
    groupNormEps: 64e-5,
  };
}
