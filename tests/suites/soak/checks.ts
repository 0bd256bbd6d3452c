/** What must be true after a soak. */

import { setTimeout as delay } from "node:timers/promises";
import type { Report } from "../fleet/report.ts";
import type { Random } from "../../support/random_data.ts";
import { askOnce } from "./answers.ts";
import type { Clients, Known, Outcome } from "./clients.ts";
import type { Faults } from "./faults.ts";
import type { Ended, SoakWorker } from "./worker.ts";

/** States whose next turn is asked for. */
const RESUMED = 200;
/** Open turns that are let go on. */
const WENT_ON = 50;
/** Requests at once. */
const AT_ONCE = 16;
/** Milliseconds after which a turn that nobody waits for is one that never ends. */
const SETTLED_MS = 60_000;

const PLAIN = { stream: false, key: null, leaves: null };

interface StateBody {
  open: boolean;
  transcript: { role: string; content: string }[];
}

/** Every id that was told, by what it leads to. */
export async function checkIds(
  { known, open }: Pick<Clients, "known" | "open">,
  { workers, report, random }: {
    workers: readonly SoakWorker[];
    report: Report;
    random: Random;
  },
): Promise<void> {
  const urls = workers.map(({ url }) => url);
  const faults: string[] = [];
  const right = async (one: Known, whole: boolean) => {
    const fault = await faultOf(random.of(urls), one, whole);
    if (fault !== null) faults.push(fault);
  };
  await each(known, (one) => right(one, true));
  report.count("ids of whole turns that lead to them", known.length - faults.length, known.length);
  const before = faults.length;
  await each(open, (one) => right(one, false));
  const lost = faults.length - before;
  if (open.length > 0) report.count("ids of open turns that do", open.length - lost, open.length);

  const going = known.filter(({ turns, script }) => turns < script.turns.length);
  const some = random.some(going, Math.min(RESUMED, going.length));
  await each(some, async (one) => {
    const { message, reply } = one.script.turns[one.turns];
    const ask = { ...PLAIN, requestId: `next-${one.id}`, message, stateId: one.id };
    const answer = await askOnce({ ...ask, url: random.of(urls) });
    const text = answer.kind === "whole" ? answer.text : JSON.stringify(answer);
    if (text !== reply) faults.push(`${one.id} goes on with ${text} instead of ${reply}`);
  });
  const wentOn = random.some(open, Math.min(WENT_ON, open.length));
  await each(wentOn, async (one) => {
    const ask = { ...PLAIN, requestId: `on-${one.id}`, message: null, stateId: one.id };
    const answer = await askOnce({ ...ask, url: random.of(urls) });
    // It may have come to its end.
    const id = answer.kind === "whole" ? answer.stateId! : one.id;
    const fault = await faultOf(random.of(urls), { ...one, id }, true);
    if (fault !== null) faults.push(`after it went on, ${fault}`);
  });
  const figure = `${some.length} with the next turn, ${wentOn.length} open ones`;
  report.add("ids that go on as they must", figure, faults.length === 0);
  for (const fault of faults.slice(0, 10)) console.error(fault);
}

/** What is wrong with a state; `null`: nothing. */
async function faultOf(url: string, one: Known, whole: boolean): Promise<string | null> {
  const { id, script, turns } = one;
  const response = await fetch(`${url}/v1/states/${id}`);
  if (response.status !== 200) return `${id}: ${response.status} ${await response.text()}`;
  const { open, transcript }: StateBody = await response.json();
  const wanted = script.turns.slice(0, turns).flatMap(({ message, reply }) => [message, reply]);
  const said = transcript.map(({ content }) => content.trim());
  const last = said.pop() ?? "";
  const reply = wanted.pop()!.trim();
  const before = String(said) === String(wanted.map((text) => text.trim()));
  const fine = before && (open && !whole ? reply.startsWith(last) : !open && last === reply);
  return fine
    ? null
    : `${id} of ${script.name}, ${turns} turns: ${JSON.stringify({ open, said, last })}`;
}

/** Whether what processes counted adds up, and fits what clients were told. */
export function checkCounts(
  { outcomes }: Pick<Clients, "outcomes">,
  { workers, faults, report }: {
    workers: readonly SoakWorker[];
    faults: Pick<Faults, "troubled">;
    report: Report;
  },
): void {
  const ended = workers.flatMap((worker) => worker.ended);
  const stopped = ended.filter(({ how }) => how === "stopped");
  const wrong = stopped.map((process) => {
    return miscount(process, outcomes, faults.troubled(process.from, process.to));
  }).filter((one) => one !== null);
  const turns = stopped.reduce((sum, { counts }) => sum + (counts?.received ?? 0), 0);
  report.add(
    "stopped processes that ended well, with all turns accounted for",
    `${stopped.length - wrong.length} of ${stopped.length}, ${turns} turns`,
    wrong.length === 0 && stopped.length > 0,
  );
  for (const one of wrong.slice(0, 10)) console.error(one);
  const killed = ended.filter(({ how }) => how === "killed");
  const unlogged = killed.filter(({ answered }) => answered.size === 0).length;
  report.add("killed processes", `${killed.length}, ${unlogged} of them before any answer`, true);
  const alone = ended.filter(({ how }) => how === "by itself").length;
  report.add("processes that ended by themselves", String(alone), alone === 0);
}

/**
 * What does not add up; `null`: all does. A request with a key that is refused may not have come to
 * be a turn, nor one that found no store, and what became of a turn whose client was not told is the
 * worker's to say. None is under way in the end, unless the store was in trouble then.
 */
function miscount(
  { code, counts, answered }: Ended,
  outcomes: ReadonlyMap<string, Outcome>,
  troubled: boolean,
): string | null {
  if (code !== 0 || counts === null) return `it ended with ${code}, and told ${counts}`;
  const { received, rejected, stopped, length, aborted, failed, in_progress: inProgress } = counts;
  const requests = [...answered.keys()].filter((id) => outcomes.has(id));
  const of = (...kinds: Outcome[]) =>
    requests.filter((id) => kinds.includes(outcomes.get(id)!)).length;
  const keyed = requests.filter((id) => id.startsWith("keyed")).length;
  const plain = requests.length - keyed;
  const keyedTurns = requests.filter((id) => {
    return id.startsWith("keyed") && ["finished", "cut"].includes(outcomes.get(id)!);
  }).length;
  const storeless = requests.filter((id) => {
    return id.startsWith("plain") && outcomes.get(id) === "storeless";
  }).length;
  // Asked by the harness itself.
  const own = answered.size - requests.length;
  const sums: [string, number, number, number][] = [
    ["received", received, plain - storeless + keyedTurns + own, plain + keyed + own],
    ["sum", rejected + stopped + length + aborted + failed + inProgress, received, received],
    ["in progress", inProgress, 0, troubled ? received : 0],
    [
      "whole",
      stopped + length,
      of("finished"),
      of("finished", "cut", "left", "lost", "failed") + own,
    ],
  ];
  const wrong = sums.filter(([, value, least, most]) => value < least || value > most);
  return wrong.length === 0 ? null : JSON.stringify({ counts, wrong });
}

/** Some time without faults: what workers counted must be what clients were told. */
export async function checkQuietTime(
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
  await clients.run(count, { until: () => performance.now() > end, leave: false });
  await settled(workers, report);
  const after = await sums(workers);
  const outcomes = [...clients.outcomes].filter(([id]) => !known.has(id)).map(([, one]) => one);
  const of = (outcome: Outcome) => outcomes.filter((one) => one === outcome).length;
  const [finished, refused] = [of("finished"), of("refused") + of("storeless")];
  const expected = { received: finished + refused, finished, rejected: refused, other: 0 };
  const counted = {
    received: after.received - before.received,
    finished: after.finished - before.finished,
    rejected: after.rejected - before.rejected,
    other: after.other - before.other,
  };
  report.add(
    "turns of a quiet time, as clients and as workers count them",
    `${JSON.stringify(expected)} ${JSON.stringify(counted)}`,
    JSON.stringify(expected) === JSON.stringify(counted) && outcomes.length === expected.received,
  );
}

/** Resolves when no worker has a turn under way, or when one seems to have it for ever. */
export async function settled(workers: readonly SoakWorker[], report: Report): Promise<void> {
  const since = performance.now();
  for (const worker of workers) {
    while (true) {
      const inProgress = (await worker.metrics())("num_requests_in_progress");
      if (inProgress === 0) break;
      if (performance.now() - since > SETTLED_MS) {
        report.add(`turns that ${worker.name} never ends`, String(inProgress), false);
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

async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await work(item);
  }));
}
