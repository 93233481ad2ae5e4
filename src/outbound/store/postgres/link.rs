//! One connection: how it is made, and what was prepared on it.
use super::{
    fault::{Trouble, Unreachable},
    server::{PostgresHost, PostgresSettings},
};
use crate::outbound::http::{first_of, secure, trust::Trust};
use rustls::pki_types::ServerName;
use std::{collections::HashMap, fmt, io, net::SocketAddr, path::Path, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{UnixStream, lookup_host},
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_postgres::{Client, Config, NoTls, Statement, config::SslMode, types::Type};

/// How long a connection may take, TLS and sign-in included.
pub(super) const CONNECT: Duration = Duration::from_secs(2);

/// How many of a host's addresses are tried.
const MOST_ADDRESSES: usize = 8;

/// How many statements stay prepared on a connection.
const MOST_STATEMENTS: usize = 200;

/// "Speak TLS from here on" (PostgreSQL's protocol, message formats, `SSLRequest`).
const TLS_PLEASE: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// What PostgreSQL is called inside TLS (ALPN).
const PROTOCOL: &[u8] = b"postgresql";

/// Bytes both ways.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// An open connection. It ends when this is dropped.
pub(super) struct Link {
    pub(super) client: Client,
    statements: HashMap<Box<str>, Statement>,
    /// The driver's epoch at which the schema behind it was found fit; 0 is none.
    pub(super) fits: u64,
    /// Moves the bytes.
    _driver: JoinSet<()>,
}

impl Link {
    /// Connects and signs in, within [`CONNECT`].
    pub(super) async fn open(
        server: &PostgresSettings,
        trust: &Trust,
    ) -> Result<Self, Unreachable> {
        timeout(CONNECT, signed_in(server, trust)).await.unwrap_or(Err(Unreachable::Silent))
    }

    /// Whether `sql` is prepared.
    pub(super) fn has(&self, sql: &str) -> bool {
        self.statements.contains_key(sql)
    }

    /// Prepares `sql`, unless it was before. Its parameters are of `types`.
    pub(super) async fn prepare(
        &mut self,
        sql: &str,
        types: &[Type],
    ) -> Result<Statement, Trouble> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare_typed(sql, types).await;
        let statement = statement.map_err(|error| Trouble::of(&error))?;
        if self.statements.len() >= MOST_STATEMENTS {
            // Which were used last is not worth remembering: there are never so many.
            self.statements.clear();
        }
        self.statements.insert(sql.into(), statement.clone());
        Ok(statement)
    }

    /// Runs statements that bear no values.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), Trouble> {
        self.client.batch_execute(sql).await.map_err(|error| Trouble::of(&error))
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("statements", &self.statements.len()).finish_non_exhaustive()
    }
}

async fn signed_in(server: &PostgresSettings, trust: &Trust) -> Result<Link, Unreachable> {
    let stream: Box<dyn Duplex> = match &server.host {
        PostgresHost::Socket(directory) => Box::new(socket(&server.socket(directory)).await?),
        PostgresHost::Name(_) | PostgresHost::Address(_) => network(server, trust).await?,
    };
    let mut config = Config::new();
    config.user(&*server.user).dbname(&*server.database).application_name("usher");
    // What there is of TLS is around the stream already.
    config.ssl_mode(SslMode::Disable);
    if let Some(password) = &server.password {
        config.password(password.reveal());
    }
    let connected = config.connect_raw(stream, NoTls).await;
    let (client, connection) = connected.map_err(|error| Unreachable::of(&error))?;
    let mut driver = JoinSet::new();
    // Why it ends is told to whoever waits for an answer.
    driver.spawn(async { drop(connection.await) });
    Ok(Link { client, statements: HashMap::new(), fits: 0, _driver: driver })
}

async fn socket(path: &Path) -> Result<UnixStream, Unreachable> {
    UnixStream::connect(path).await.map_err(|error| Unreachable::Socket(error.kind()))
}

async fn network(server: &PostgresSettings, trust: &Trust) -> Result<Box<dyn Duplex>, Unreachable> {
    let addresses = addresses(server).await?;
    let deadline = Instant::now() + CONNECT;
    let stream = first_of(&addresses, deadline).await;
    let mut stream = stream.map_err(|error| Unreachable::Socket(error.kind()))?;
    if !server.tls {
        return Ok(Box::new(stream));
    }
    let broke = |_| Unreachable::NotPostgres;
    stream.write_all(&TLS_PLEASE).await.map_err(broke)?;
    // One byte and no more: what somebody on the way put behind it would count as said inside TLS.
    match stream.read_u8().await.map_err(broke)? {
        b'S' => {}
        b'N' => return Err(Unreachable::NoTls),
        _ => return Err(Unreachable::NotPostgres),
    }
    Ok(Box::new(secure(stream, name(server)?, trust, PROTOCOL).await.map_err(Unreachable::Tls)?))
}

async fn addresses(server: &PostgresSettings) -> Result<Vec<SocketAddr>, Unreachable> {
    match &server.host {
        PostgresHost::Address(address) => Ok(vec![SocketAddr::new(*address, server.port)]),
        PostgresHost::Name(name) => {
            let found = lookup_host((&**name, server.port)).await;
            let found = found.map_err(|error| Unreachable::Name(error.kind()))?;
            Ok(found.take(MOST_ADDRESSES).collect())
        }
        PostgresHost::Socket(_) => Ok(Vec::new()),
    }
}

/// The name that the server's certificate must have.
fn name(server: &PostgresSettings) -> Result<ServerName<'static>, Unreachable> {
    let no_name = || Unreachable::Name(io::ErrorKind::InvalidInput);
    match &server.host {
        PostgresHost::Address(address) => Ok(ServerName::from(*address)),
        PostgresHost::Name(name) => {
            // A certificate never names the root's dot.
            let name = name.strip_suffix('.').unwrap_or(name).to_owned();
            ServerName::try_from(name).map_err(|_| no_name())
        }
        PostgresHost::Socket(_) => Err(no_name()),
    }
}
