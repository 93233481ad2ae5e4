// The registry as operators reach it: the admin API with the token that usher keeps for itself, and `usher identity`.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { binary } from './usher.mjs';
import { bareEnvironment, start } from './process.mjs';
import { request } from './load.mjs';

/** The admin API of a laid place (`lay`) on which usher has been started at least once. */
export class Operator {
  constructor(place, agent) {
    this.url = `http://${place.listen.admin}/api`;
    this.token = readFileSync(join(place.state, 'admin-token'), 'utf8').trimEnd();
    this.agent = agent;
  }

  /** One request; `order` is sent as JSON, `file` as it is. */
  ask(path, { order, file, type = 'application/json' } = {}) {
    const body = file ?? (order && JSON.stringify(order)), headers = { authorization: `Bearer ${this.token}` };
    if (body !== undefined) Object.assign(headers, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
    return request(`${this.url}${path}`, { method: body === undefined ? 'GET' : 'POST', headers, body, agent: this.agent });
  }

  link(identity, { namespace, subject }, reason) { return this.ask(`/identities/${encodeURIComponent(identity)}/links`, { order: { namespace, subject, reason } }); }

  unlink({ namespace, subject }, reason) { return this.ask('/identity-unlink', { order: { namespace, subject, reason } }); }

  retire(identity, reason) { return this.ask(`/identities/${encodeURIComponent(identity)}/retire`, { order: { reason } }); }

  erase(identity, reason) { return this.ask(`/identities/${encodeURIComponent(identity)}/erase`, { order: { reason } }); }

  /** Sends a file; `flags` are `allowLinks`, `unclaimed` and `dryRun`. */
  import(file, format, flags = {}) { return this.ask(`/identity-import?${new URLSearchParams({ format, ...flags })}`, { file, type: 'application/octet-stream' }); }

  async #json(path) {
    const answer = await this.ask(path);
    assert.equal(answer.status, 200, `GET ${path}: ${answer.error ?? `${answer.status} ${answer.text}`}`);
    return JSON.parse(answer.text);
  }

  /** All about an identity, `undefined` where the registry does not know it. */
  async show(identity) {
    const path = `/identities/${encodeURIComponent(identity)}`, answer = await this.ask(path);
    if (answer.status === 404) return undefined;
    assert.equal(answer.status, 200, `GET ${path}: ${answer.error ?? `${answer.status} ${answer.text}`}`);
    return JSON.parse(answer.text);
  }

  /** The identities, at most one, that a subject has; without their history. */
  of({ namespace, subject }) { return this.#json(`/identities?${new URLSearchParams({ namespace, subject })}`); }

  /** Every identity, without its history, a page after the other. */
  async* all() {
    for (let after = ''; ;) {
      const page = await this.#json(`/identities?${new URLSearchParams({ limit: '1000', ...(after && { after }) })}`);
      yield* page;
      if (page.length < 1000) return;
      after = page.at(-1).identity;
    }
  }

  /** The rows of an export: `{namespace, subject, identity, state}`. */
  async rows() {
    const answer = await this.ask('/identity-export?format=jsonl');
    assert.equal(answer.status, 200, `the export: ${answer.error ?? `${answer.status} ${answer.text}`}`);
    return answer.text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  }
}

/** Starts `usher identity …` on a laid place, beside whatever serves there. */
export function identityCommand(place, ...args) {
  return start(`identity-${args[0]}`, binary, ['identity', ...args, '--config', place.configFile], { cwd: place.home, env: bareEnvironment({ STATE_DIRECTORY: place.state }) });
}

/** Runs `usher identity …` to its end; gives {code, text: what it printed, complaint, at: when it ended}. */
export async function identity(place, ...args) {
  const command = identityCommand(place, ...args), { code, signal } = await command.closed;
  assert.equal(signal, null, command.tail());
  return { code, text: command.printed.join('\n'), complaint: command.tail(), at: performance.now() };
}

const quoted = (field) => (/[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field);

/** Rows as a file of either format that `import` reads, with the columns that the first row has. */
export function fileOf(rows, format) {
  if (format === 'jsonl') return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  const columns = Object.keys(rows[0]);
  return [columns, ...rows.map((row) => columns.map((column) => row[column]))].map((fields) => `${fields.map(quoted).join(',')}\r\n`).join('');
}
