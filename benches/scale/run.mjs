// Runs the parts of the scale measurement one after the other and gathers their tables.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir, totalmem, release } from 'node:os';
import { once } from 'node:events';
import { join } from 'node:path';
import { startPostgres } from '../../tests/peers/lib/postgres.mjs';

const [programs, part, amount] = process.argv.slice(2);
const readme = 'benches/scale/README.md';

/** A program's output; what it complains of goes to ours. */
async function output(program, args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (piece) => { text += piece; });
  const [code] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${program} ${args[0]} ended with ${code}`);
  return text;
}

const ms = (value) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;

function importRow(store, r) {
  const size = r.fileMiB ? `${r.fileMiB.toFixed(0)} MiB` : r.databaseSize ?? '';
  return `| ${store} | ${r.rows} | ${r.seconds.toFixed(0)} s | ${r.again.seconds.toFixed(0)} s | ${r.rssMiB.toFixed(1)} MiB | ${size} | ${ms(r.newUsers.p50)} | ${ms(r.newUsers.p99)} | ${r.newUsers.answers} |`;
}

async function imports(rows, postgres) {
  const table = ['| store | rows | import | the same file again | importer\'s RSS | size | new users p50 | p99 | their answers |', '|---|---|---|---|---|---|---|---|---|'];
  const script = 'benches/scale/import.mjs', program = join(programs, 'usher');
  table.push(importRow('SQLite', JSON.parse(await output('node', [script, program, rows]))));
  const database = await postgres.database();
  const measured = JSON.parse(await output('node', [script, program, rows, postgres.url(database)]));
  measured.databaseSize = await postgres.sql(`SELECT pg_size_pretty(pg_database_size('${database}'))`);
  table.push(importRow('PostgreSQL', measured));
  return `${table.join('\n')}\n`;
}

async function lookups(rows) {
  const folder = await mkdtemp(join(process.env.SCALE_FOLDER ?? tmpdir(), 'usher-lookups-'));
  try { return await output(join(programs, 'scale'), ['lookups', folder, ...rows]); } finally { await rm(folder, { recursive: true, force: true }); }
}

async function fleet(sidecars, postgres) {
  return output(join(programs, 'scale'), ['fleet', postgres.url(await postgres.database()), sidecars]);
}

async function withPostgres(measure) {
  const ends = [];
  const postgres = await startPostgres({ after: (end) => ends.push(end) });
  try { return await measure(postgres); } finally { for (const end of ends.reverse()) await end(); }
}

function machine() {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  return `${cpus().length} × ${cpus()[0].model}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}; commit ${commit}; PostgreSQL 15 with its defaults on the same machine.\n`;
}

const all = part === undefined;
const sections = [];
if (all || part === 'import') sections.push(['import', await withPostgres((postgres) => imports(amount ?? '1000000', postgres))]);
if (all || part === 'lookups') sections.push(['lookups', await lookups(amount ? amount.split(',') : ['0', '1000000', '10000000'])]);
if (all || part === 'fleet') sections.push(['fleet', await withPostgres((postgres) => fleet(amount ?? '1000', postgres))]);
for (const [name, text] of sections) console.log(`\n## ${name}\n\n${text}`);
if (all) {
  let page = await readFile(readme, 'utf8');
  for (const [name, text] of [...sections, ['machine', machine()]]) {
    page = page.replace(new RegExp(`(<!-- ${name} -->\n)[^]*?(<!-- /${name} -->)`), (_, open, close) => `${open}${text}${close}`);
  }
  await writeFile(readme, page);
}
