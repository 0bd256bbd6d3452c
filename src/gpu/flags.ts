/**
 * WebGPU's flags, as its specification numbers them. The globals of these names are there in browsers
 * and in Deno, but not beside a `GPU` that a package makes, such as Dawn's for Node.
 */

export const BUFFER_USAGE = {
  MAP_READ: 0x1,
  COPY_SRC: 0x4,
  COPY_DST: 0x8,
  UNIFORM: 0x40,
  STORAGE: 0x80,
  QUERY_RESOLVE: 0x200,
} as const;

export const MAP_MODE = { READ: 0x1 } as const;

export const SHADER_STAGE = { COMPUTE: 0x4 } as const;
