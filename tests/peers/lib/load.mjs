// Requests at a steady rate that does not slow down when the server does: a slow answer is seen as a slow answer, not as a
// lower rate.
import http from 'node:http';

/** One request; gives {status, headers, text, ms}, and `error` in place of a status when no whole answer came. */
export function request(url, { method = 'GET', headers = {}, body, agent, timeout = 20_000 } = {}) {
  const begun = performance.now();
  return new Promise((resolve) => {
    const finish = (answer) => resolve({ ...answer, ms: performance.now() - begun });
    const call = http.request(url, { method, headers, agent, timeout }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece) => { text += piece; });
      response.on('end', () => finish({ status: response.statusCode, headers: response.headers, text }));
      response.on('error', (error) => finish({ error }));
    });
    call.on('timeout', () => call.destroy(new Error(`no answer within ${timeout} ms`)));
    call.on('error', (error) => finish({ error }));
    call.end(body);
  });
}

class Load {
  constructor(rate, one) {
    this.agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
    this.rate = rate;
    this.one = one;
    this.answers = [];
    this.open = new Set();
    this.begun = performance.now();
    this.sent = 0;
    this.timer = setInterval(() => this.#tick(), 2);
  }

  #tick() {
    const due = Math.floor(((performance.now() - this.begun) / 1000) * this.rate);
    // After a pause of this process (a busy machine) the missed ones are sent at once, but never more than a tenth of a second of them.
    this.sent = Math.max(this.sent, due - Math.ceil(this.rate / 10));
    while (this.sent < due) this.#send(this.sent++);
  }

  #send(number) {
    const at = Date.now();
    const sending = Promise.resolve(this.one(number, this.agent)).then(
      (answer) => { this.answers.push({ number, at, ...answer }); },
      (error) => { this.answers.push({ number, at, error }); },
    ).finally(() => this.open.delete(sending));
    this.open.add(sending);
  }

  /** Stops sending, waits for what is under way, and gives every answer in the order of its sending. */
  async stop() {
    clearInterval(this.timer);
    await Promise.all(this.open);
    this.agent.destroy();
    return this.answers.sort((a, b) => a.number - b.number);
  }
}

/** Sends `rate` requests a second until stopped; `one(number, agent)` makes each. */
export function steadyLoad(rate, one) { return new Load(rate, one); }

/** "200 × 812, ECONNRESET × 1": what came back, for a message. */
export function tally(answers) {
  const counts = new Map();
  for (const answer of answers) { const kind = answer.status ?? answer.error?.code ?? answer.error?.message; counts.set(kind, (counts.get(kind) ?? 0) + 1); }
  return [...counts].map(([kind, count]) => `${kind} × ${count}`).join(', ');
}
