// One operation each: what is sent, what may come back, what it leaves behind, and whether it happened where no answer came.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileOf, identityCommand } from '../lib/registry.mjs';
import { keyOf } from './model.mjs';

const told = (answer) => `${answer.status} ${answer.text}`;

/** The parsed body of an answer that must have this status and, where it is a problem, this code. */
function parsed(answer, { status, code }) {
  assert.equal(answer.status, status, told(answer));
  const body = JSON.parse(answer.text);
  assert.equal(body.code, code, answer.text);
  return body;
}

/** A sign-in, the first one or a later one; `rival` is an import under way that has the same subject. */
export class Sight {
  kind = 'sight';

  constructor(model, who, rival) {
    Object.assign(this, { model, who, rival, key: keyOf(who), derived: model.derive(who) });
    this.expected = model.prospect(who);
    const held = model.held.get(this.key);
    this.isNew = held === undefined && this.expected.status === 200;
    this.about = [this.key, this.derived, ...(held === undefined ? [] : [held]), ...(rival ? [rival.identityOf(this.key)] : [])];
  }

  send({ usher, issuer, agent }) { return usher.exchange(issuer.token(this.who.subject), { agent }); }

  accept(answer) {
    if (this.rival && answer.status === 200 && JSON.parse(answer.text).identity === this.rival.identityOf(this.key)) {
      this.rival.mustHold = true;
      return 'took what was imported';
    }
    const body = parsed(answer, this.expected);
    assert.equal(body.identity, this.expected.identity, `the identity of ${JSON.stringify(this.who)}`);
    this.apply();
    return this.isNew ? 'new' : answer.status;
  }

  apply() {
    if (!this.isNew) return;
    if (!this.model.identities.has(this.derived)) this.model.bear(this.derived);
    this.model.give(this.who, this.derived);
  }

  happened({ held }) { return this.isNew && held.get(this.key)?.identity === this.derived; }
}

export class Link {
  kind = 'link';

  constructor(model, who, identity, reason) {
    Object.assign(this, { model, who, identity, reason, key: keyOf(who), about: [keyOf(who), model.derive(who), identity] });
    this.expected = model.identities.get(identity).isRetired ? { status: 409, code: 'identity_conflict' } : { status: 200 };
  }

  send({ operator }) { return operator.link(this.identity, this.who, this.reason); }

  accept(answer) {
    parsed(answer, this.expected);
    if (answer.status === 200) this.apply();
    return answer.status;
  }

  apply() {
    this.model.give(this.who, this.identity);
    this.model.remember(this.identity, { who: 'api', what: `link ${this.who.namespace} ${this.who.subject}`, why: this.reason });
  }

  happened({ held }) { return this.expected.status === 200 && held.get(this.key)?.identity === this.identity; }
}

/** An unlink, or the same one again, which changes nothing. */
export class Unlink {
  kind = 'unlink';

  constructor(model, who, reason) {
    Object.assign(this, { model, who, reason, key: keyOf(who), identity: model.held.get(keyOf(who)) });
    this.about = [this.key, model.derive(who), ...(this.identity === undefined ? [] : [this.identity])];
  }

  send({ operator }) { return operator.unlink(this.who, this.reason); }

  accept(answer) {
    parsed(answer, { status: 200 });
    this.apply();
    return this.identity === undefined ? 'again' : answer.status;
  }

  apply() {
    if (this.identity === undefined) return;
    this.model.take(this.who);
    this.model.remember(this.identity, { who: 'api', what: `unlink ${this.who.namespace} ${this.who.subject}`, why: this.reason });
  }

  happened({ held }) { return this.identity !== undefined && !held.has(this.key); }
}

/** A retirement, or the same one again, which changes nothing. */
export class Retire {
  kind = 'retire';

  constructor(model, identity, reason) {
    Object.assign(this, { model, identity, reason, about: [identity], isNew: !model.identities.get(identity).isRetired });
  }

  send({ operator }) { return operator.retire(this.identity, this.reason); }

  accept(answer) {
    assert.equal(parsed(answer, { status: 200 }).state, 'retired');
    this.apply();
    return this.isNew ? answer.status : 'again';
  }

  apply() {
    if (!this.isNew) return;
    this.model.identities.get(this.identity).isRetired = true;
    this.model.remember(this.identity, { who: 'api', what: 'retire', why: this.reason });
  }

  happened({ held, bare }) {
    const [holder] = this.model.identities.get(this.identity).subjects.keys();
    const { state } = holder === undefined ? bare.get(this.identity) : held.get(holder);
    return this.isNew && state === 'retired';
  }
}

/** A file, whole or not at all; through the admin API, or as a process of its own that may be killed as well. */
export class Import {
  constructor(model, rows, { number, format, byCommand }) {
    Object.assign(this, { model, rows, format, byCommand, kind: byCommand ? 'import (command)' : 'import', mustHold: false });
    this.name = `import-${number}.${format}`;
    this.about = rows.flatMap((row) => (row.subject === '' ? [row.identity] : [keyOf(row), model.derive(row), row.identity]));
    this.owned = new Map(rows.map((row) => [keyOf(row), row.identity]));
    this.isDone = false;
    // Set where somebody signs in meanwhile whom the file has as well.
    this.raced = undefined;
  }

  identityOf(key) { return this.owned.get(key); }

  async send({ operator, place, children }) {
    if (!this.byCommand) return operator.import(fileOf(this.rows, this.format), this.format, { allowLinks: 'true' });
    writeFileSync(join(place.home, this.name), fileOf(this.rows, this.format));
    const child = identityCommand(place, 'import', this.name, '--allow-links', '--output', 'json');
    children.add(child);
    const timer = this.killAfter && setTimeout(() => child.signal('SIGKILL'), this.killAfter);
    const { code, signal } = await child.closed;
    clearTimeout(timer);
    children.delete(child);
    if (signal !== null) return { error: new Error(signal), killed: true };
    const complaint = child.tail(), isBusy = code === 69 && complaint.includes('another import is under way');
    return { status: { 0: 200, 4: 409 }[code] ?? (isBusy ? 429 : `exit ${code}`), text: code === 0 ? child.printed.join('\n') : complaint };
  }

  accept(answer) {
    // Another one that was left half-way counts as under way for two minutes.
    if (answer.status === 429) return 'busy';
    if (answer.status === 409 && this.raced && !this.isDone) return 'lost the race';
    assert.equal(answer.status, 200, told(answer));
    const { rows, new: fresh, known } = JSON.parse(answer.text);
    assert.equal(rows, this.rows.length);
    assert.equal(this.isDone ? known : rows, rows, `a second run finds all of it: ${answer.text}`);
    assert.equal(fresh + known, rows, answer.text);
    const verdict = this.isDone ? 'again' : 200;
    this.apply();
    return verdict;
  }

  apply() {
    if (this.isDone) return;
    this.isDone = true;
    const event = this.byCommand ? { who: 'cli', what: 'import', why: this.name } : { who: 'api', what: 'import', why: 'POST /api/identity-import' };
    for (const row of this.rows) {
      if (!this.model.identities.has(row.identity)) this.model.bear(row.identity, { isRetired: row.state === 'retired', history: [event] });
      if (row.subject !== '') this.model.give(row, row.identity);
    }
  }

  happened({ held, bare }) {
    if (this.isDone) return false;
    const there = this.rows.filter((row) => (row.subject === '' ? bare.has(row.identity) : held.get(keyOf(row))?.identity === row.identity)).length;
    assert.ok(there === 0 || there === this.rows.length, `an import is half there: ${there} of ${this.rows.length} rows of ${this.name}`);
    assert.ok(there > 0 || !this.mustHold, `${this.name} was seen, and is gone`);
    return there > 0;
  }

  /** Whether the model still has what the file says and nothing else, so that a second run may change nothing. */
  get isUntouched() {
    const holders = new Map();
    for (const { subject, identity } of this.rows) holders.set(identity, (holders.get(identity) ?? 0) + (subject === '' ? 0 : 1));
    return this.rows.every((row) => {
      const known = this.model.identities.get(row.identity);
      return known.isRetired === (row.state === 'retired') && known.subjects.size === holders.get(row.identity) && (row.subject === '' || this.model.held.get(keyOf(row)) === row.identity);
    });
  }
}
