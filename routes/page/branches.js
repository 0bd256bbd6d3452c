// The tree that a conversation becomes when a past turn is edited or retried. A node is a state; it
// knows the state that it answered, how many of that one's turns it goes on from, and how many
// turns it has. Texts are not kept here: each state's transcript is in the worker's store.

/**
 * @typedef {{ tokens: number, perSecond: number | null, first: number | null, context: number, cached: number }} Stats
 * @typedef {{
 *   parent: string | null, base: number, turns: number, at: number, goesOn?: boolean, stats?: Stats,
 * }} BranchNode
 *   `base`: turns shared with the parent. `at`: when it was made, in milliseconds.
 *   `goesOn`: it is the parent's last turn, written on.
 * @typedef {Record<string, BranchNode>} Branches By the state's id.
 */

export class BranchTree {
  #nodes;
  /** @type {Map<string, string[]>} */
  #owners = new Map();

  /** @param {Branches} nodes Not changed while the tree is in use. */
  constructor(nodes) {
    this.#nodes = nodes;
  }

  /**
   * For each turn that leads to a state, the state that was the first to have it: two states share
   * a turn if these are the same.
   * @param {string} id
   * @returns {string[]}
   */
  ownersOf(id) {
    const known = this.#owners.get(id);
    if (known) return known;
    // A record that was damaged may lead in a circle: set beforehand, so that this ends.
    this.#owners.set(id, []);
    const { parent, base, turns, goesOn } = this.#nodes[id];
    const above = parent !== null && Object.hasOwn(this.#nodes, parent)
      ? this.ownersOf(parent)
      : [];
    const shared = above.slice(0, goesOn ? turns : base);
    const owners = [...shared, ...Array(Math.max(0, turns - shared.length)).fill(id)];
    this.#owners.set(id, owners);
    return owners;
  }

  /**
   * The variants of each turn on the way to a state, oldest first, and which is on that way.
   * @param {string} id
   * @returns {{ owners: string[], index: number }[]}
   */
  variantsOn(id) {
    const own = this.ownersOf(id);
    /** @type {Set<string>[]} */
    const found = own.map(() => new Set());
    for (const name of Object.keys(this.#nodes)) {
      const owners = this.ownersOf(name);
      for (let turn = 0; turn < Math.min(own.length, owners.length); turn++) {
        found[turn].add(owners[turn]);
        if (owners[turn] !== own[turn]) break;
      }
    }
    return found.map((set, turn) => {
      const owners = [...set].sort((a, b) => this.#nodes[a].at - this.#nodes[b].at);
      return { owners, index: owners.indexOf(own[turn]) };
    });
  }

  /**
   * The newest state that has this variant of a turn.
   * @param {number} turn From 0.
   * @param {string} owner
   * @returns {string}
   */
  newestWith(turn, owner) {
    let newest = owner;
    for (const [id, { at }] of Object.entries(this.#nodes)) {
      if (at > this.#nodes[newest].at && this.ownersOf(id)[turn] === owner) newest = id;
    }
    return newest;
  }

  /**
   * The newest state that goes on from this one, or itself.
   * @param {string} id
   */
  newestAfter(id) {
    const owners = this.ownersOf(id);
    return owners.length === 0 ? id : this.newestWith(owners.length - 1, owners.at(-1) ?? id);
  }

  /**
   * The state on the way to `id` that has exactly this many turns: what a new variant of the next
   * turn answers. `null` where none is known.
   * @param {string} id
   * @param {number} turns
   * @returns {string | null}
   */
  stateAfter(id, turns) {
    const own = this.ownersOf(id);
    const seen = new Set();
    for (let at = /** @type {string | null} */ (id); at !== null && !seen.has(at);) {
      if (!Object.hasOwn(this.#nodes, at)) return null;
      seen.add(at);
      const { turns: has, parent } = this.#nodes[at];
      const same = this.ownersOf(at).every((owner, i) => owner === own[i]);
      if (has === turns && same) return at;
      at = parent;
    }
    return null;
  }
}
