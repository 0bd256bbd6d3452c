/**
 * Runs `job` for every item, `lanes` of them at once, in their order. The first failure ends it;
 * what was under way then goes on by itself.
 */
export async function mapConcurrent<T>(
  items: readonly T[],
  lanes: number,
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
  await Promise.all(Array.from({ length: Math.min(lanes, items.length) }, run));
}
