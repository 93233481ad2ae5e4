// The durable stores: how each is configured, checked by its own means while nobody has it open, and told that time passed.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from './process.mjs';
import { startPostgres } from './postgres.mjs';

const run = promisify(execFile);
// An import counts as given up when it has done nothing for two minutes.
const PASS = 'UPDATE imports SET beat = 0';

class Sqlite {
  constructor(place) { Object.assign(this, { section: { url: `sqlite:${join(place.state, 'usher.db')}` }, file: join(place.state, 'usher.db'), folder: join(place.home, 'copy') }); }

  /** `pragma integrity_check` of a copy, so that usher itself finds the file and its log as they were left. */
  async check() {
    const copy = join(this.folder, 'usher.db');
    await rm(this.folder, { recursive: true, force: true });
    await mkdir(this.folder);
    if (!existsSync(this.file)) return;
    for (const end of ['', '-wal']) if (existsSync(`${this.file}${end}`)) await copyFile(`${this.file}${end}`, `${copy}${end}`);
    const { stdout } = await run('sqlite3', [copy, 'pragma integrity_check; pragma foreign_key_check']);
    assert.equal(stdout, 'ok\n', 'integrity_check');
  }

  async pass() { await run('sqlite3', ['-cmd', '.timeout 5000', this.file, PASS]); }

  /** What may happen to the database when its user is killed. */
  async shake() { /* It is nothing but the file. */ }
}

/** An empty SQLite store for a laid place. */
export async function openSqlite(_, place) { return new Sqlite(place); }

const INDEXES = `SELECT count(bt_index_check(indexrelid, true)) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
  WHERE relnamespace = 'public'::regnamespace AND relkind = 'i' AND indisvalid AND (SELECT amname FROM pg_am WHERE pg_am.oid = relam) = 'btree'`;

class Postgres {
  constructor(server, database) { Object.assign(this, { server, database, section: { url: server.url(database) } }); }

  /** Waits until the server has ended what a killed client left under way, and holds each table against its indexes. */
  async check() {
    const left = `SELECT count(*) FROM pg_stat_activity WHERE datname = '${this.database}' AND application_name = 'usher'`;
    await eventually('the server has noticed that its clients are gone', async () => await this.server.sql(left) === '0', 10, 10);
    assert.ok(Number(await this.server.sql(`CREATE EXTENSION IF NOT EXISTS amcheck; ${INDEXES}`, this.database)) >= 0, 'bt_index_check');
  }

  async pass() { await this.server.sql(PASS, this.database); }

  /** Now and then the server loses its power as well. */
  async shake(random) {
    if (random() >= 0.1) return;
    await this.server.kill();
    await this.server.start();
  }
}

/** Each has a `name`, and `open(t, place)` that gives an empty store: its configuration's `section`, and what can be done to it. */
export const stores = [
  { name: 'SQLite', open: openSqlite },
  { name: 'PostgreSQL', open: async (t) => { const server = await startPostgres(t); return new Postgres(server, await server.database()); } },
].filter(({ name }) => (process.env.PEER_STORES ?? name).split(',').includes(name));
