/** The checks at the end of a soak test. */

import { setTimeout as delay } from "node:timers/promises";
import type { Report } from "../fleet/report.ts";
import type { Random } from "../../support/random_data.ts";
import { sendOnce } from "./client_request.ts";
import type { Clients, KnownState, Outcome } from "./clients.ts";
import type { Faults } from "./faults.ts";
import type { ProcessEnd, SoakWorker } from "./worker.ts";

/** Number of states that are resumed with their next turn. */
const RESUME_COUNT = 200;
/** Number of open turns that are continued. */
const CONTINUE_COUNT = 50;
/** Number of concurrent requests. */
const CONCURRENCY = 16;
/** Milliseconds after which a turn without a waiting client counts as stuck. */
const STUCK_AFTER_MS = 60_000;

const PLAIN = { stream: false, key: null, abortAfter: null };

interface StateBody {
  open: boolean;
  transcript: { role: string; content: string }[];
}

/** Checks the content of every state id that a client received, and resumes some of them. */
export async function checkIds(
  { complete, open }: Pick<Clients, "complete" | "open">,
  { workers, report, random }: {
    workers: readonly SoakWorker[];
    report: Report;
    random: Random;
  },
): Promise<void> {
  const urls = workers.map(({ url }) => url);
  const faults: string[] = [];
  const checkState = async (one: KnownState, complete: boolean) => {
    const fault = await stateFault(random.of(urls), one, complete);
    if (fault !== null) faults.push(fault);
  };
  await forEachConcurrently(complete, (one) => checkState(one, true));
  report.count(
    "state ids of complete turns with the right content",
    complete.length - faults.length,
    complete.length,
  );
  const before = faults.length;
  await forEachConcurrently(open, (one) => checkState(one, false));
  const lost = faults.length - before;
  if (open.length > 0) {
    report.count("state ids of open turns with the right content", open.length - lost, open.length);
  }

  const unfinished = complete.filter(({ turns, script }) => turns < script.turns.length);
  const resumed = random.some(unfinished, Math.min(RESUME_COUNT, unfinished.length));
  await forEachConcurrently(resumed, async (one) => {
    const { message, reply } = one.script.turns[one.turns];
    const request = { ...PLAIN, requestId: `next-${one.id}`, message, stateId: one.id };
    const result = await sendOnce({ ...request, url: random.of(urls) });
    const text = result.kind === "complete" ? result.text : JSON.stringify(result);
    if (text !== reply) faults.push(`${one.id} continues with ${text} instead of ${reply}`);
  });
  const continued = random.some(open, Math.min(CONTINUE_COUNT, open.length));
  await forEachConcurrently(continued, async (one) => {
    const request = { ...PLAIN, requestId: `on-${one.id}`, message: null, stateId: one.id };
    const result = await sendOnce({ ...request, url: random.of(urls) });
    // The open reply may have been complete already.
    const id = result.kind === "complete" ? result.stateId! : one.id;
    const fault = await stateFault(random.of(urls), { ...one, id }, true);
    if (fault !== null) faults.push(`after continuing it: ${fault}`);
  });
  const figure = `${resumed.length} with the next turn, ${continued.length} open ones`;
  report.add("state ids that resume correctly", figure, faults.length === 0);
  for (const fault of faults.slice(0, 10)) console.error(fault);
}

/** Returns the fault of a state, or `null`. */
async function stateFault(url: string, one: KnownState, complete: boolean): Promise<string | null> {
  const { id, script, turns } = one;
  const response = await fetch(`${url}/v1/states/${id}`);
  if (response.status !== 200) return `${id}: ${response.status} ${await response.text()}`;
  const { open, transcript }: StateBody = await response.json();
  const expected = script.turns.slice(0, turns).flatMap(({ message, reply }) => [message, reply]);
  const contents = transcript.map(({ content }) => content.trim());
  const last = contents.pop() ?? "";
  const reply = expected.pop()!.trim();
  const before = String(contents) === String(expected.map((text) => text.trim()));
  const isCorrect = before &&
    (open && !complete ? reply.startsWith(last) : !open && last === reply);
  return isCorrect
    ? null
    : `${id} of ${script.name}, ${turns} turns: ${JSON.stringify({ open, contents, last })}`;
}

/**
 * Checks that the counters of processes are consistent with each other and with the clients'
 * results.
 */
export function checkCounts(
  { outcomes }: Pick<Clients, "outcomes">,
  { workers, faults, report }: {
    workers: readonly SoakWorker[];
    faults: Pick<Faults, "hadStoreOutage">;
    report: Report;
  },
): void {
  const ended = workers.flatMap((worker) => worker.ended);
  const stopped = ended.filter(({ reason }) => reason === "stopped");
  const wrong = stopped.map((process) => {
    return miscount(process, outcomes, faults.hadStoreOutage(process.from, process.to));
  }).filter((one) => one !== null);
  const turns = stopped.reduce((sum, { counts }) => sum + (counts?.received ?? 0), 0);
  report.add(
    "stopped processes with exit status 0 and consistent turn counters",
    `${stopped.length - wrong.length} of ${stopped.length}, ${turns} turns`,
    wrong.length === 0 && stopped.length > 0,
  );
  for (const one of wrong.slice(0, 10)) console.error(one);
  const killed = ended.filter(({ reason }) => reason === "killed");
  const unlogged = killed.filter(({ statuses }) => statuses.size === 0).length;
  report.add("killed processes", `${killed.length}, ${unlogged} of them before any response`, true);
  const alone = ended.filter(({ reason }) => reason === "exited").length;
  report.add("processes that exited unexpectedly", String(alone), alone === 0);
}

/**
 * Returns inconsistent counters, or `null`. A request that is rejected may not count as a turn if it
 * had a key or the store was unreachable. A turn whose client got no response may be complete for
 * the worker. No turn is in progress at the end, unless the store had an outage then.
 */
function miscount(
  { code, counts, statuses }: ProcessEnd,
  outcomes: ReadonlyMap<string, Outcome>,
  outage: boolean,
): string | null {
  if (code !== 0 || counts === null) return `it exited with ${code} and logged ${counts}`;
  const { received, rejected, stopped, length, aborted, failed, in_progress } = counts;
  const requests = [...statuses.keys()].filter((id) => outcomes.has(id));
  const of = (...kinds: Outcome[]) =>
    requests.filter((id) => kinds.includes(outcomes.get(id)!)).length;
  const keyed = requests.filter((id) => id.startsWith("keyed")).length;
  const plain = requests.length - keyed;
  const keyedTurns = requests.filter((id) => {
    return id.startsWith("keyed") && ["finished", "interrupted"].includes(outcomes.get(id)!);
  }).length;
  const withoutStore = requests.filter((id) => {
    return id.startsWith("plain") && outcomes.get(id) === "no_store";
  }).length;
  // Requests of the harness itself.
  const harnessTurns = statuses.size - requests.length;
  const sums: [string, number, number, number][] = [
    [
      "received",
      received,
      plain - withoutStore + keyedTurns + harnessTurns,
      plain + keyed + harnessTurns,
    ],
    ["sum", rejected + stopped + length + aborted + failed + in_progress, received, received],
    ["in_progress", in_progress, 0, outage ? received : 0],
    [
      "complete",
      stopped + length,
      of("finished"),
      of("finished", "interrupted", "aborted", "disconnected", "failed") + harnessTurns,
    ],
  ];
  const wrong = sums.filter(([, value, least, most]) => value < least || value > most);
  return wrong.length === 0 ? null : JSON.stringify({ counts, wrong });
}

/** Runs clients without faults; the workers' counters must equal the clients' results. */
export async function checkWithoutFaults(
  clients: Clients,
  { workers, report, count, seconds }: {
    workers: readonly SoakWorker[];
    report: Report;
    count: number;
    seconds: number;
  },
): Promise<void> {
  const before = await sums(workers);
  const known = new Set(clients.outcomes.keys());
  const end = performance.now() + 1000 * seconds;
  await clients.run(count, { until: () => performance.now() > end, abort: false });
  await settled(workers, report);
  const after = await sums(workers);
  const outcomes = [...clients.outcomes].filter(([id]) => !known.has(id)).map(([, one]) => one);
  const of = (outcome: Outcome) => outcomes.filter((one) => one === outcome).length;
  const [finished, rejected] = [of("finished"), of("rejected") + of("no_store")];
  const clientCounts = { received: finished + rejected, finished, rejected, other: 0 };
  const workerCounts = {
    received: after.received - before.received,
    finished: after.finished - before.finished,
    rejected: after.rejected - before.rejected,
    other: after.other - before.other,
  };
  report.add(
    "turns in a period without faults, as counted by clients and by workers",
    `${JSON.stringify(clientCounts)} ${JSON.stringify(workerCounts)}`,
    JSON.stringify(clientCounts) === JSON.stringify(workerCounts) &&
      outcomes.length === clientCounts.received,
  );
}

/** Waits until no worker has a turn in progress; reports turns that are stuck. */
export async function settled(workers: readonly SoakWorker[], report: Report): Promise<void> {
  const since = performance.now();
  for (const worker of workers) {
    while (true) {
      const inProgress = (await worker.metrics())("num_requests_in_progress");
      if (inProgress === 0) break;
      if (performance.now() - since > STUCK_AFTER_MS) {
        report.add(`stuck turns on ${worker.name}`, String(inProgress), false);
        break;
      }
      await delay(100);
    }
  }
}

async function sums(workers: readonly SoakWorker[]) {
  const all = { received: 0, finished: 0, rejected: 0, other: 0 };
  for (const worker of workers) {
    const of = await worker.metrics();
    const success = of("request_success_total");
    const stop = of("request_success_total", 'finished_reason="stop"');
    all.received += of("requests_received_total");
    all.finished += stop;
    all.rejected += of("requests_rejected_total");
    all.other += success - stop + of("request_failure_total");
  }
  return all;
}

async function forEachConcurrently<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const remaining = [...items];
  await Promise.all(Array.from({ length: CONCURRENCY }, async () => {
    for (let item = remaining.pop(); item !== undefined; item = remaining.pop()) await work(item);
  }));
}
