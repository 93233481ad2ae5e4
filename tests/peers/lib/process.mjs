// Child processes that never outlive the test: each is known by its pid, and ends when this process ends, however that happens.
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import net from 'node:net';

const running = new Set();
process.on('exit', () => { for (const child of running) child.process.kill(child.lastSignal); });
for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]]) process.on(signal, () => process.exit(code));

/** Where the logs of a peer test go; `tests/run` names the folder, by hand it is a temporary one. */
export const logFolder = process.env.PEER_LOGS ?? join(tmpdir(), `usher-peer-logs-${process.pid}`);
mkdirSync(logFolder, { recursive: true });

let started = 0;
class Child {
  constructor(name, command, args, { lastSignal = 'SIGKILL', ...options }) {
    this.name = name;
    this.lastSignal = lastSignal;
    this.lines = [];
    this.printed = [];
    this.logFile = join(logFolder, `${String(++started).padStart(2, '0')}-${name}.log`);
    this.log = createWriteStream(this.logFile);
    this.process = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    running.add(this);
    this.exited = new Promise((resolve) => {
      this.process.once('error', (error) => { this.log.write(`${error}\n`); running.delete(this); resolve({ error }); });
      this.process.once('exit', (code, signal) => { running.delete(this); resolve({ code, signal }); });
    });
    this.exited.then((how) => { this.how = how; });
    /** Like `exited`, and all it printed has been read. */
    this.closed = new Promise((resolve) => { this.process.once('close', resolve).once('error', resolve); }).then(() => this.exited);
    this.#read(this.process.stdout, this.printed);
    this.#read(this.process.stderr);
  }

  #read(stream, more) {
    let rest = '';
    stream.setEncoding('utf8').on('data', (text) => {
      this.log.write(text);
      const parts = (rest + text).split('\n');
      rest = parts.pop();
      for (const lines of [this.lines, ...(more ? [more] : [])]) {
        lines.push(...parts);
        if (lines.length > 20_000) lines.splice(0, 10_000);
      }
    });
  }

  get pid() { return this.process.pid; }

  tail(count = 20) { return this.lines.slice(-count).join('\n'); }

  /** The first match of `pattern` in any line so far or to come; an error when the process ends or the time is over. */
  async line(pattern, seconds = 30) {
    return this.until(() => { for (const line of this.lines) { const found = pattern.exec(line); if (found) return found; } }, seconds, `a line like ${pattern}`);
  }

  /** Waits until `test` gives something; an error when the process ends first or the time is over. */
  async until(test, seconds, what) {
    const end = Date.now() + seconds * 1000;
    for (;;) {
      const found = await test();
      if (found) return found;
      if (this.how) throw new Error(`${this.name} ended (${JSON.stringify(this.how)}) before ${what}:\n${this.tail()}`);
      if (Date.now() > end) throw new Error(`${this.name}: no ${what} within ${seconds} s:\n${this.tail()}`);
      await sleep(20);
    }
  }

  signal(name) { this.process.kill(name); }

  /** Sends `signal` and gives {code, signal}; after `seconds` it is killed and that is an error. */
  async stop(signal = 'SIGTERM', seconds = 30) {
    if (this.how) return this.how;
    this.process.kill(signal);
    const how = await Promise.race([this.exited, sleep(seconds * 1000, undefined, { ref: false })]);
    if (how) return how;
    this.process.kill('SIGKILL');
    await this.exited;
    throw new Error(`${this.name} did not end within ${seconds} s of ${signal}:\n${this.tail()}`);
  }
}

/**
 * Starts a program whose output goes to the log folder. `lastSignal` is what it gets if this process ends first: SIGKILL, but
 * SIGTERM for a launcher that hands it on to the real program and would leave that one behind when killed.
 */
export function start(name, command, args = [], options = {}) { return new Child(name, command, args, options); }

/** As many free loopback ports as asked for, all different. */
export async function freePorts(count) {
  const servers = await Promise.all(Array.from({ length: count }, async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return server;
  }));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

/** The environment for a program under test: nothing of the caller's that could configure it. */
export function bareEnvironment(more = {}) {
  const kept = {};
  for (const name of ['PATH', 'HOME', 'LANG', 'TMPDIR', 'JAVA_HOME']) if (process.env[name] !== undefined) kept[name] = process.env[name];
  return { ...kept, ...more };
}

/** Waits until `test` gives something true. */
export async function eventually(what, test, seconds = 10, pause = 50) {
  const end = Date.now() + seconds * 1000;
  for (let last; ;) {
    try { const found = await test(); if (found) return found; } catch (error) { last = error; }
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}${last ? ` (${last.message})` : ''}`);
    await sleep(pause);
  }
}
