// Waits for what a session does; one that is not met ends the process with an error that says what was seen.
export const PATIENCE_MS = 40_000;

/** `until(what, condition)` waits; `wake()` has every condition looked at again. */
export function waits(seen) {
  const waiters = new Set();
  const wake = () => [...waiters].forEach((waiter) => waiter());
  const until = (what, condition) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`waited in vain for ${what}; saw ${JSON.stringify(seen)}`)), PATIENCE_MS);
      const waiter = () => {
        if (!condition()) return;
        clearTimeout(timer);
        waiters.delete(waiter);
        resolve();
      };
      waiters.add(waiter);
      waiter();
    });
  return { until, wake };
}
