// PostgreSQL in a folder of its own, on a free port of loopback. It refuses to run as root, and so runs as `nobody` there.
import { execFile, execFileSync } from 'node:child_process';
import { appendFile, chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import { promisify } from 'node:util';
import { bareEnvironment, eventually, freePorts, start } from './process.mjs';

const run = promisify(execFile);
const programs = process.env.POSTGRES_BIN ?? '/usr/lib/postgresql/15/bin';
const isRoot = process.getuid() === 0;

/** The command that runs a program of PostgreSQL's as somebody who may. */
function command(name, args) {
  const program = join(programs, name);
  return isRoot ? ['setpriv', ['--reuid=nobody', '--regid=nogroup', '--clear-groups', '--inh-caps=-all', program, ...args]] : [program, args];
}

class Postgres {
  constructor(home, port) {
    Object.assign(this, { home, port, data: join(home, 'data'), host: '127.0.0.1', databases: 0 });
  }

  /** A URL for usher; `user` needs the password of `user()`, but for the superuser `postgres`. */
  url(database, { user = 'postgres', host = this.host, query = '' } = {}) { return `postgres://${user}@${host}:${this.port}/${database}${query}`; }

  /** What a statement gives: one line a row, columns parted by `|`. */
  async sql(statement, database = 'postgres') {
    const args = ['-X', '-Atq', '-v', 'ON_ERROR_STOP=1', '-h', this.host, '-p', String(this.port), '-U', 'postgres', '-d', database, '-c', statement];
    return (await run(join(programs, 'psql'), args, { env: bareEnvironment() })).stdout.trim();
  }

  /** An empty database. */
  async database(options = '') {
    const name = `sidecars_${process.pid}_${++this.databases}`;
    await this.sql(`CREATE DATABASE ${name} TEMPLATE template0 ENCODING 'UTF8' ${options}`);
    return name;
  }

  /** A role that signs in with a password, and owns `database`. */
  async user(name, password, database) {
    await this.sql(`CREATE ROLE ${name} LOGIN PASSWORD '${password}'`);
    await this.sql(`ALTER DATABASE ${database} OWNER TO ${name}`);
  }

  async start() {
    this.child = start('postgres', ...command('postgres', ['-D', this.data]), { env: bareEnvironment({ LC_ALL: 'C' }), cwd: this.home, lastSignal: 'SIGQUIT' });
    await this.child.until(async () => { try { return await this.sql('SELECT 1') === '1'; } catch { return false; } }, 30, 'PostgreSQL answers');
  }

  /** Ends the postmaster and every process it has made, by their pids, as a machine does that loses its power. */
  async kill() {
    const pids = [this.child.pid, ...await children(this.child.pid)];
    for (const pid of pids) try { process.kill(pid, 'SIGKILL'); } catch (error) { if (error.code !== 'ESRCH') throw error; }
    await this.child.exited;
    // A child that was about to be forked is no child any more.
    await eventually('no process is left', async () => (await Promise.all(pids.map(isAlive))).every((alive) => !alive), 10);
  }

  async stop() { if (this.child && !this.child.how) await this.child.stop('SIGQUIT', 20); }
}

async function stat(pid) {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch { return undefined; }
}

async function children(parent) {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const stats = await Promise.all(pids.map(async (pid) => [pid, await stat(pid)]));
  return stats.filter(([, fields]) => fields && Number(fields[1]) === parent).map(([pid]) => pid);
}

async function isAlive(pid) {
  const fields = await stat(pid);
  return fields !== undefined && fields[0] !== 'Z';
}

/** Makes a certificate for `localhost` and no other name, signed by an authority of its own; gives that one's PEM file. */
async function certify(home, owner) {
  const openssl = (...args) => run('openssl', args, { cwd: home, env: bareEnvironment() });
  await openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=usher test authority', '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign');
  await openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=localhost');
  await writeFile(join(home, 'server.ext'), 'subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n');
  await openssl('x509', '-req', '-in', 'server.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-out', 'server.pem', '-days', '2', '-extfile', 'server.ext');
  await chmod(join(home, 'server.key'), 0o600);
  if (owner) for (const name of ['server.key', 'server.pem']) await chown(join(home, name), ...owner);
  return readFile(join(home, 'ca.pem'), 'utf8');
}

/** Starts a fresh server, which lets `postgres` in, or with `trusting` everybody; it ends when the test is over. */
export async function startPostgres(t, { trusting = false } = {}) {
  const home = await mkdtemp(join(tmpdir(), 'usher-postgres-'));
  await chmod(home, 0o755);
  const id = (flag) => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }));
  const owner = isRoot ? [id('-u'), id('-g')] : undefined;
  const postgres = new Postgres(home, (await freePorts(1))[0]);
  t.after(async () => { await postgres.stop(); await rm(home, { recursive: true, force: true }); });
  await mkdir(postgres.data, { mode: 0o700 });
  if (owner) await chown(postgres.data, ...owner);
  await run(...command('initdb', ['-D', postgres.data, '-U', 'postgres', '-E', 'UTF8', '--locale=C', '--auth=trust', '--no-sync']), { env: bareEnvironment(), cwd: home });
  postgres.authority = await certify(home, owner);
  await appendFile(join(postgres.data, 'postgresql.conf'), `
listen_addresses = '127.0.0.1'
port = ${postgres.port}
unix_socket_directories = '${postgres.data}'
max_connections = 200
ssl = ${trusting ? 'off' : 'on'}
recovery_init_sync_method = syncfs
ssl_cert_file = '${join(home, 'server.pem')}'
ssl_key_file = '${join(home, 'server.key')}'
log_min_messages = warning
`);
  await writeFile(join(postgres.data, 'pg_hba.conf'), `host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 ${trusting ? 'trust' : 'scram-sha-256'}\n`);
  await postgres.start();
  return postgres;
}
