// What the registry must hold: all that was acknowledged, and nothing else.
import assert from 'node:assert/strict';
import { opaqueIdentity } from '../lib/jwt.mjs';

export const keyOf = ({ namespace, subject }) => `${namespace}\0${subject}`;

const byBytes = (one, other) => Buffer.compare(Buffer.from(keyOf(one)), Buffer.from(keyOf(other)));

/** A number from 0 up to 1 each time, the same ones for the same seed (mulberry32). */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The rows of an export, by subject and, where there is none, by identity. */
export function foundOf(rows) {
  const found = { held: new Map(), bare: new Map() };
  for (const { namespace, subject, identity, state } of rows) {
    const [map, key] = subject === '' ? [found.bare, identity] : [found.held, keyOf({ namespace, subject })];
    assert.ok(!map.has(key), `twice in the registry: ${JSON.stringify({ namespace, subject, identity })}`);
    map.set(key, { identity, state });
  }
  return found;
}

export class Model {
  constructor(identityKey) {
    this.identityKey = identityKey;
    this.identities = new Map();
    // Which identity each subject has, by its key; `undefined` where it has none any more.
    this.held = new Map();
    // For drawing lots.
    this.people = [];
    this.names = [];
    // Whom operations are about that are under way or in doubt, and how many; no other one may be about them.
    this.busy = new Map();
    // The identities, and the keys of subjects, of which something happened since they were last read back.
    this.touched = new Set();
  }

  derive({ namespace, subject }) { return opaqueIdentity(this.identityKey, namespace, subject); }

  isBusy(names) { return names.some((name) => this.busy.has(name)); }

  hold(names) { for (const name of names) this.busy.set(name, (this.busy.get(name) ?? 0) + 1); }

  release(names) {
    for (const name of names) {
      const others = this.busy.get(name) - 1;
      if (others) this.busy.set(name, others); else this.busy.delete(name);
    }
  }

  bear(identity, { isRetired = false, history = [] } = {}) {
    this.identities.set(identity, { isRetired, subjects: new Map(), history });
    this.names.push(identity);
    this.touched.add(identity);
  }

  give(who, identity) {
    const key = keyOf(who);
    assert.equal(this.held.get(key), undefined, 'the model gives nobody a second identity');
    if (!this.held.has(key)) this.people.push(who);
    this.held.set(key, identity);
    this.identities.get(identity).subjects.set(key, who);
    this.touched.add(identity).add(key);
  }

  take(who) {
    const key = keyOf(who), identity = this.held.get(key);
    this.held.set(key, undefined);
    this.identities.get(identity).subjects.delete(key);
    this.touched.add(identity).add(key);
  }

  remember(identity, event) {
    this.identities.get(identity).history.push(event);
    this.touched.add(identity);
  }

  state(identity) {
    const { isRetired, subjects } = this.identities.get(identity);
    if (isRetired) return 'retired';
    return subjects.size ? 'active' : 'unlinked';
  }

  /** What a sign-in must come to. */
  prospect(who) {
    const derived = this.derive(who), identity = this.held.get(keyOf(who)) ?? derived, known = this.identities.get(identity);
    if (known?.isRetired) return { status: 403, code: 'identity_retired' };
    // It lost its own identity, and somebody else was given that since.
    if (known && !known.subjects.has(keyOf(who)) && known.subjects.size) return { status: 409, code: 'identity_conflict' };
    return { status: 200, identity };
  }

  /** What `show` must say, but for the times. */
  shown(identity) {
    const { subjects, history } = this.identities.get(identity);
    const named = [...subjects.values()].sort(byBytes).map(({ namespace, subject }) => ({ namespace, subject }));
    return { identity, state: this.state(identity), subjects: named, history };
  }

  /** Whether an export is this, row by row. */
  compare(found) {
    let holders = 0, bare = 0;
    const same = (row, identity, whose) => {
      const state = this.state(identity);
      if (row?.identity !== identity || row.state !== state) assert.deepEqual(row, { identity, state }, `what ${whose} was acknowledged to have`);
    };
    for (const [key, identity] of this.held) {
      if (identity === undefined) continue;
      holders++;
      same(found.held.get(key), identity, JSON.stringify(key));
    }
    for (const [identity, { subjects }] of this.identities) {
      if (subjects.size) continue;
      bare++;
      same(found.bare.get(identity), identity, 'nobody');
    }
    const tooMany = found.held.size > holders && [...found.held].find(([key]) => this.held.get(key) === undefined);
    assert.ok(!tooMany, `nobody asked for ${JSON.stringify(tooMany)}`);
    const leftOver = found.bare.size > bare && [...found.bare.keys()].find((identity) => !this.identities.has(identity) || this.identities.get(identity).subjects.size);
    assert.ok(!leftOver, `nobody made the identity ${leftOver}`);
  }
}
