/**
 * Finds the longest token at a position with a trie in three flat arrays. Nodes are numbered
 * breadth-first with siblings in byte order, so the children of a node are a sorted range.
 */

/** Immutable after construction; takes about nine bytes per node. */
export class Trie {
  /** First child of each node; the next node's first child ends the range. */
  readonly #firstChild: Uint32Array;
  /** The byte that leads into each node. */
  readonly #byte: Uint8Array;
  /** The id that ends at each node, or -1. */
  readonly #id: Int32Array;
  /** Child of the root by byte; 0, the root itself, if there is none. */
  readonly #roots = new Uint32Array(256);

  /** @param tokens Ids and their bytes, which must be distinct and not empty. */
  constructor(tokens: Iterable<readonly [id: number, bytes: Uint8Array]>) {
    const sorted = [...tokens].sort(([, a], [, b]) => compareBytes(a, b));
    const capacity = 1 + sorted.reduce((sum, [, bytes]) => sum + bytes.length, 0);
    const firstChild = new Uint32Array(capacity + 1);
    const byte = new Uint8Array(capacity);
    const id = new Int32Array(capacity).fill(-1);
    // The tokens that share a node's prefix are a range of the sorted tokens.
    const rangeStart = new Uint32Array(capacity);
    const rangeEnd = new Uint32Array(capacity);
    const depth = new Uint16Array(capacity);
    rangeEnd[0] = sorted.length;
    let nodes = 1;
    for (let node = 0; node < nodes; node++) {
      firstChild[node] = nodes;
      let i = rangeStart[node];
      const at = depth[node];
      // The node's own token is the shortest, so it is first.
      if (i < rangeEnd[node] && sorted[i][1].length === at) id[node] = sorted[i++][0];
      while (i < rangeEnd[node]) {
        const next = sorted[i][1][at];
        const child = nodes++;
        byte[child] = next;
        depth[child] = at + 1;
        rangeStart[child] = i;
        while (i < rangeEnd[node] && sorted[i][1][at] === next) i++;
        rangeEnd[child] = i;
      }
    }
    firstChild[nodes] = nodes;
    this.#firstChild = firstChild.slice(0, nodes + 1);
    this.#byte = byte.slice(0, nodes);
    this.#id = id.slice(0, nodes);
    for (let child = 1; child < this.#firstChild[1]; child++) this.#roots[byte[child]] = child;
  }

  /** Returns the id of the longest token that matches `bytes` at `start`, or -1. */
  longestMatch(bytes: Uint8Array, start: number): number {
    const firstChild = this.#firstChild;
    const byte = this.#byte;
    let node = start < bytes.length ? this.#roots[bytes[start]] : 0;
    let found = -1;
    let at = start + 1;
    while (node !== 0) {
      if (this.#id[node] >= 0) found = this.#id[node];
      if (at === bytes.length) break;
      const wanted = bytes[at++];
      let low = firstChild[node];
      const end = firstChild[node + 1];
      let high = end;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (byte[middle] < wanted) low = middle + 1;
        else high = middle;
      }
      node = low < end && byte[low] === wanted ? low : 0;
    }
    return found;
  }
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    if (a[i] !== b[i]) return a[i] - b[i];
  }
  return a.length - b.length;
}
