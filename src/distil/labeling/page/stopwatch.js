// How long a person looks at something: the time from its paint on, without the time in which the tab is hidden.

export class Stopwatch {
  #since = null;
  #before = 0;
  #running = false;

  constructor() {
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#pause();
      else if (this.#running) this.#since = performance.now();
    });
  }

  /** Start anew. */
  start() {
    this.#before = 0;
    this.#running = true;
    this.#since = document.hidden ? null : performance.now();
  }

  /** Stop, so that `ms` is null until the next start. */
  stop() {
    this.#running = false;
  }

  /** The milliseconds since the start; null if it does not run. */
  get ms() {
    if (!this.#running) return null;
    return Math.round(this.#before + (this.#since === null ? 0 : performance.now() - this.#since));
  }

  #pause() {
    if (this.#since !== null) this.#before += performance.now() - this.#since;
    this.#since = null;
  }
}
