// How a page asks the store: one question, and one that is asked again and again.

/** Longer than the store takes to give up by itself (`purchase_deadline_ms`), its own way to say so included. */
const DEADLINE_MS = 12_000;

/** Why there is no answer with data. */
export class Failure extends Error {
  /** `status` is that of HTTP, or 0 if nothing came back that can be understood. */
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  /**
   * Whether the same question may be answered later. Nobody knows then whether the store did what it
   * was asked to, so whoever asks again needs the same `Idempotency-Key`.
   */
  get isPassing() {
    return this.status === 0 || this.status === 408 || this.status >= 500;
  }
}

/** Asks, and returns the data of the answer. Throws a `Failure`, or the reason with which `signal` was aborted. */
export async function ask(path, request) {
  return (await askPage(path, request)).data;
}

/** The same for a page of a list. `next` is the query of the page after it, or undefined (RFC 8288). */
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

/** Waits. Throws the reason with which `signal` was aborted. */
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

/** Asks the same again and again while the page is seen, and less often while there is no answer. */
export class Poll {
  #question;
  #every;
  #failures = 0;
  #timer;
  #asking = false;

  /** `question` asks and shows the answer, or throws; it is called every so many milliseconds. */
  constructor(question, every) {
    this.#question = question;
    this.#every = every;
    document.addEventListener("visibilitychange", () => this.now());
    this.now();
  }

  /** Asks now, unless an answer is awaited or nobody looks. */
  async now() {
    if (this.#asking || document.hidden) return;
    clearTimeout(this.#timer);
    this.#asking = true;
    try {
      await this.#question();
      this.#failures = 0;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      // The question has shown what went wrong; here it only means to leave the store in peace.
      this.#failures = Math.min(this.#failures + 1, 3);
    } finally {
      this.#asking = false;
      this.#timer = setTimeout(() => this.now(), this.#every * 2 ** this.#failures);
    }
  }
}
