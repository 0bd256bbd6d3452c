/**
 * Virtual time: events run in the order of their times, as fast as they can be computed. Nothing
 * here reads or waits for a real clock.
 */

import { setImmediate } from "node:timers";

interface Event {
  at: number;
  /** Sequence number: events at the same time run in scheduling order. */
  order: number;
  action: () => void;
}

export class VirtualClock {
  #now = 0;
  #scheduled = 0;
  /** A binary heap with the next event first. */
  readonly #events: Event[] = [];

  /** Milliseconds since the start. */
  get now(): number {
    return this.#now;
  }

  /** Schedules an event; one in the past runs next. */
  at(time: number, action: () => void): void {
    const events = this.#events;
    events.push({ at: Math.max(time, this.#now), order: this.#scheduled++, action });
    for (let child = events.length - 1; child > 0;) {
      const parent = (child - 1) >> 1;
      if (!before(events[child], events[parent])) break;
      [events[child], events[parent]] = [events[parent], events[child]];
      child = parent;
    }
  }

  /** Resolves after `ms` virtual milliseconds. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.at(this.#now + ms, resolve));
  }

  /** Runs all scheduled events, and the events that they schedule. */
  async run(): Promise<void> {
    await microtasksDone();
    while (this.#events.length > 0) {
      const { at, action } = this.#take();
      this.#now = at;
      action();
      await microtasksDone();
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
      let smallest = parent;
      if (left < events.length && before(events[left], events[smallest])) smallest = left;
      if (right < events.length && before(events[right], events[smallest])) smallest = right;
      if (smallest === parent) return first;
      [events[parent], events[smallest]] = [events[smallest], events[parent]];
      parent = smallest;
    }
  }
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/**
 * Resolves when all promise callbacks have run, so that an event's consequences happen at its time.
 */
function microtasksDone(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
