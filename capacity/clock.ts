/**
 * Virtual time: events happen in the order of their times, as fast as they can be computed. Nothing
 * here looks at a clock or waits for one.
 */

import { setImmediate } from "node:timers";

interface Event {
  at: number;
  /** Of events at the same time the one that was planned first comes first. */
  order: number;
  action: () => void;
}

export class VirtualClock {
  #now = 0;
  #planned = 0;
  /** A binary heap, the next event first. */
  readonly #events: Event[] = [];

  /** Milliseconds since the beginning. */
  get now(): number {
    return this.#now;
  }

  /** Plans an event. One whose time has passed happens next. */
  at(time: number, action: () => void): void {
    const events = this.#events;
    events.push({ at: Math.max(time, this.#now), order: this.#planned++, action });
    for (let child = events.length - 1; child > 0;) {
      const parent = (child - 1) >> 1;
      if (!before(events[child], events[parent])) break;
      [events[child], events[parent]] = [events[parent], events[child]];
      child = parent;
    }
  }

  /** Resolves when so many milliseconds have passed. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.at(this.#now + ms, resolve));
  }

  /** Lets everything happen that is planned, and what follows from that. */
  async run(): Promise<void> {
    await settled();
    while (this.#events.length > 0) {
      const { at, action } = this.#take();
      this.#now = at;
      action();
      await settled();
    }
  }

  #take(): Event {
    const events = this.#events;
    const first = events[0];
    const last = events.pop()!;
    if (events.length === 0) return first;
    events[0] = last;
    for (let parent = 0;;) {
      const [left, right] = [2 * parent + 1, 2 * parent + 2];
      let least = parent;
      if (left < events.length && before(events[left], events[least])) least = left;
      if (right < events.length && before(events[right], events[least])) least = right;
      if (least === parent) return first;
      [events[parent], events[least]] = [events[least], events[parent]];
      parent = least;
    }
  }
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** Resolves when no promise has anything left to tell: what follows an event happens at its time. */
function settled(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
