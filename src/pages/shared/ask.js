// Requests to the store: a single request, and a repeated one.

/** Longer than `purchase_deadline_ms` of the store, so that the store's own error arrives first. */
const DEADLINE_MS = 12_000;

/** An answer without data, or no answer. */
export class Failure extends Error {
  /** `status` is the HTTP status, or 0 if there was no valid answer. */
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  /**
   * Whether the same request may succeed later. The store may have done it already, so a retry of a
   * purchase needs the same `Idempotency-Key`.
   */
  get isPassing() {
    return this.status === 0 || this.status === 408 || this.status >= 500;
  }
}

/** Sends a request and returns the data of the answer. Throws a `Failure`, or the reason with which `signal` was aborted. */
export async function ask(path, request) {
  return (await askPage(path, request)).data;
}

/** The same for one page of a list. `next` is the query of the next page, or undefined (RFC 8288). */
export async function askPage(path, { signal, ...request } = {}) {
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  const either = signal ? AbortSignal.any([signal, deadline]) : deadline;
  let response;
  let answer;
  try {
    response = await fetch(path, { ...request, signal: either });
    answer = await response.json();
  } catch (error) {
    signal?.throwIfAborted();
    throw new Failure(0, error.message);
  }
  if (!response.ok) {
    throw new Failure(response.status, answer.error?.message ?? response.statusText);
  }
  const next = /<[^>?]*(\?[^>]*)>; rel="next"/.exec(response.headers.get("Link"))?.[1];
  return { data: answer.data, next };
}

/** Waits for this time. Throws the reason with which `signal` was aborted. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Repeats a request while the page is visible, and less often while there is no answer. */
export class Poll {
  #question;
  #every;
  #failures = 0;
  #timer;
  #asking = false;

  /** `question` sends the request and shows the answer, or throws. It is called every `every` milliseconds. */
  constructor(question, every) {
    this.#question = question;
    this.#every = every;
    document.addEventListener("visibilitychange", () => this.now());
    this.now();
  }

  /** Sends the request now, unless one is in progress or the page is hidden. */
  async now() {
    if (this.#asking || document.hidden) return;
    clearTimeout(this.#timer);
    this.#asking = true;
    try {
      await this.#question();
      this.#failures = 0;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      // `question` has already shown the error. Here it only makes the interval longer.
      this.#failures = Math.min(this.#failures + 1, 3);
    } finally {
      this.#asking = false;
      this.#timer = setTimeout(() => this.now(), this.#every * 2 ** this.#failures);
    }
  }
}
