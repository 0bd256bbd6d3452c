/**
 * Runs `job` for every item in order, with at most `concurrency` at a time. The first failure stops
 * it; jobs that are already running are not awaited.
 */
export async function mapConcurrent<T>(
  items: readonly T[],
  concurrency: number,
  job: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const run = async () => {
    while (next < items.length) {
      try {
        await job(items[next++]);
      } catch (error) {
        next = items.length;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, items.length) }, run));
}
