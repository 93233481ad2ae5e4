// First sights, returns, links, unlinks, retirements and imports, as many at once as there are workers, each about somebody
// whom no other one is about at the time. So it is known of each what it must come to.
import { setTimeout as sleep } from 'node:timers/promises';
import { Import, Link, Retire, Sight, Unlink } from './operations.mjs';
import { keyOf } from './model.mjs';

// How many of each kind are under way at once; one of these each time, so that imports get far enough in some.
const MIXES = [{ sights: 5, changes: 3 }, { sights: 2, changes: 1 }, { sights: 1, changes: 0 }];

/** Names that files, URLs and tokens have to quote are among them. */
function person(number, namespace = 'corp') {
  const subject = [`s-${number}`, `zoë "${number}", 李`, `${number}@example.com`, `a%2F${number}/+ b`][number % 4];
  return { namespace, subject };
}

export class Load {
  /** `scene` outlives it: {model, random, count, again, tally, usher, operator, issuer, place, agent, store}. */
  constructor(scene) {
    Object.assign(this, { scene, model: scene.model, random: scene.random, doubts: [], races: [], children: new Set(), isEnding: false, failure: undefined });
    const { sights, changes } = this.#one(MIXES);
    const workers = [...Array(sights).fill(() => this.#sight()), ...Array(changes).fill(() => this.#change()), () => this.#import()];
    this.done = Promise.all(workers.map((next) => this.#work(next)));
  }

  #chance(share) { return this.random() < share; }

  #one(list) { return list[Math.floor(this.random() * list.length)]; }

  #fresh(namespace) { return person(this.scene.count++, namespace); }

  /** Somebody who fits, or nobody where twenty lots did not find one. */
  #drawn(list, fits) {
    for (let lot = 0; list.length && lot < 20; lot++) { const one = this.#one(list); if (fits(one)) return one; }
    return undefined;
  }

  #sight() {
    const race = this.races.pop();
    if (race?.file.isUnderWay) return new Sight(this.model, race.who, race.file);
    if (this.#chance(0.7)) return new Sight(this.model, this.#fresh());
    // A change holds within 2 s even on the sidecar that made it, so that nobody returns of whom this process may remember more.
    const { model } = this, isQuiet = (who) => ![keyOf(who), model.held.get(keyOf(who)), model.derive(who)].some((name) => model.touched.has(name));
    const known = this.#drawn(model.people, (who) => who.namespace === 'corp' && isQuiet(who));
    return known && new Sight(model, known);
  }

  #change() {
    const { model } = this, reason = `because of ${this.scene.count++}`, lot = this.random();
    const isRetired = (name) => model.identities.get(name).isRetired;
    if (lot < 0.45) {
      const who = this.#chance(0.6) ? this.#fresh(this.#chance(0.5) ? 'corp' : 'other') : this.#drawn(model.people, (one) => model.held.get(keyOf(one)) === undefined);
      const wanted = this.#chance(0.05), name = this.#drawn(model.names, (one) => isRetired(one) === wanted);
      return who && name && new Link(model, who, name, reason);
    }
    if (lot < 0.75) {
      const wanted = this.#chance(0.1), who = this.#drawn(model.people, (one) => (model.held.get(keyOf(one)) === undefined) === wanted);
      // Whoever never had anything to lose is not known.
      return who && new Unlink(model, who, reason);
    }
    const wanted = this.#chance(0.1), name = this.#drawn(model.names, (one) => isRetired(one) === wanted);
    return name && new Retire(model, name, reason);
  }

  #rows(number) {
    const length = 1 + Math.floor(this.random() * this.#one([30, 30, 120, 120, 900])), rows = [];
    for (let at = 0; at < length; at++) {
      const mine = `legacy-${number}-${at}`, own = at % 10 === 9 ? `Ann B+${mine}@example.com` : mine;
      if (at % 19 === 18) rows.push({ namespace: '', subject: '', identity: own, state: at % 2 ? 'unlinked' : 'retired' });
      // Two people who share one.
      else if (at % 17 === 16 && rows[at - 1].subject !== '') rows.push({ ...this.#fresh('other'), identity: rows[at - 1].identity, state: rows[at - 1].state });
      else rows.push({ ...this.#fresh(at % 3 ? 'corp' : 'other'), identity: own, state: at % 13 === 12 ? 'retired' : 'active' });
    }
    return rows;
  }

  #file() {
    const { scene } = this;
    if (this.#chance(0.5) && scene.again.length) return scene.again.shift();
    const number = ++scene.files, file = new Import(this.model, this.#rows(number), { number, format: this.#chance(0.5) ? 'csv' : 'jsonl', byCommand: this.#chance(0.25) });
    const row = file.rows.find(({ namespace, state }) => namespace === 'corp' && state === 'active');
    if (row && this.#chance(0.3)) file.raced = { who: { namespace: 'corp', subject: row.subject }, file };
    return file;
  }

  async #import() {
    const file = this.#file();
    if (file.isDone && !file.isUntouched) return undefined;
    if (file.raced && !file.isRacing) {
      file.isRacing = true;
      setTimeout(() => this.races.push(file.raced), this.random() * 40).unref();
    }
    file.killAfter = this.#chance(0.4) ? 10 + this.random() * 150 : undefined;
    return file;
  }

  async #work(next) {
    const { model } = this;
    while (!this.isEnding && !this.failure) {
      const operation = await next();
      if (!operation || (!operation.rival && model.isBusy(operation.about))) { await sleep(1); continue; }
      model.hold(operation.about);
      operation.isUnderWay = true;
      try { await this.#perform(operation); } catch (error) { this.failure ??= error; }
      operation.isUnderWay = false;
    }
  }

  async #perform(operation) {
    const { scene, model } = this, answer = await operation.send({ ...scene, children: this.children });
    const note = (verdict) => { scene.note(`${operation.kind}: ${verdict}`); };
    if (answer.error) {
      if (!this.isEnding && !answer.killed) throw new Error(`${operation.kind} had no answer before the kill`, { cause: answer.error });
      // Whoever it is about stays busy until it is known whether it happened.
      this.doubts.push(operation);
      note('in doubt');
      if (answer.killed && !this.isEnding && this.#chance(0.5)) await scene.store.pass();
      return;
    }
    const verdict = operation.accept(answer);
    note(verdict);
    model.release(operation.about);
    if (operation instanceof Import && (verdict === 'busy' || (operation.isDone && verdict !== 'again' && this.#chance(0.3)))) scene.again.push(operation);
  }

  /** Kills the sidecar, and the command if one runs; gives the operations whose answer never came. */
  async kill() {
    this.isEnding = true;
    this.scene.usher.child.signal('SIGKILL');
    for (const child of this.children) child.signal('SIGKILL');
    await this.scene.usher.child.exited;
    await this.done;
    this.scene.agent.destroy();
    if (this.failure) throw this.failure;
    return this.doubts;
  }
}
