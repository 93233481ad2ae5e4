// A clock that stands still until it is told to move, in place of the host's timers and date.
// Node 20's own mock timers are experimental, and one set after a reset did not always fire.
const host = { setTimeout, clearTimeout, now: Date.now };

let time = 0;
let timers = new Map();
let made = 0;

/** Puts the clock in, at `now`. */
export function stopClock(now) {
  time = now;
  timers = new Map();
  Date.now = () => time;
  globalThis.setTimeout = (wake, after = 0, ...values) => {
    // As a host does: what does not fit 31 bits, and what is no number, fires at once.
    const delay = after >= 1 && after < 2 ** 31 ? Math.trunc(after) : 1;
    const timer = { id: ++made, unref: () => timer, ref: () => timer, hasRef: () => true, refresh: () => timer };
    timers.set(timer, { at: time + delay, wake: () => wake(...values) });
    return timer;
  };
  globalThis.clearTimeout = (timer) => (timers.has(timer) ? void timers.delete(timer) : host.clearTimeout(timer));
}

/** Gives the host its own back. */
export function startClock() {
  Object.assign(globalThis, { setTimeout: host.setTimeout, clearTimeout: host.clearTimeout });
  Date.now = host.now;
}

/** Moves the clock on, and wakes whoever waited for a moment that has passed, in order. */
export function advance(milliseconds) {
  const end = time + milliseconds;
  for (;;) {
    const due = [...timers].filter(([, timer]) => timer.at <= end).sort(([a, x], [b, y]) => x.at - y.at || a.id - b.id)[0];
    if (!due) break;
    time = due[1].at;
    timers.delete(due[0]);
    due[1].wake();
  }
  time = end;
}

/** Sets the date without waking anybody, as a person at the settings does. */
export function setDate(now) {
  time = now;
}
