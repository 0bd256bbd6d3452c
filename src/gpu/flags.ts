/**
 * WebGPU flag values from the specification. Browsers and Deno define globals for them, but a `GPU`
 * from a package, such as Dawn for Node, does not define them.
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
