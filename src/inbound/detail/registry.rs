//! The sentences of the admin and egress listeners.

/// DNS rebinding.
pub const FOREIGN_HOST: &str =
    "ask this listener as localhost, by a loopback address, or by one of its configured hosts";
/// A proxy passes others on.
pub const FORWARDED: &str =
    "this listener is not for requests that a proxy passes on: ask it directly";
/// A page in a browser.
pub const FOREIGN_ORIGIN: &str = "pages of other origins may not ask this listener";

/// No admin token came.
pub const MISSING_ADMIN_TOKEN: &str = "send an admin token as Authorization: Bearer";
/// The admin token is none.
pub const UNKNOWN_ADMIN_TOKEN: &str = "this is not one of admin.tokens; without those it is what the file admin-token in the state directory holds";
/// The admin token is for reading.
pub const READER: &str =
    "this token has the role reader: a change needs one with the role operator";
/// An order's body.
pub const JSON_TYPE: &str = "send the body as Content-Type: application/json";
/// An order's body.
pub const JSON_ORDER: &str = "send one JSON object with exactly the members of the OpenAPI document, each a text and none twice";
/// An order's reason.
pub const REASON: &str =
    "say why in reason: 1 to 1000 characters, not only spaces, without control characters";
/// A subject's name.
pub const SUBJECT: &str = "name the subject by namespace (1 to 1024 bytes) and subject (1 to 2100), without control characters";
/// A subject where only usher puts any.
pub const RESERVED_NAMESPACE: &str =
    "namespaces that begin with urn:usher: are usher's own: name another";
/// An identity in a path.
pub const BAD_IDENTITY: &str = "percent-encode the identity as one segment of UTF-8";
/// A parameter of the admin API.
pub const UNKNOWN_PARAMETER: &str = "send only the query parameters of the OpenAPI document";
/// `limit`.
pub const LIMIT: &str = "limit is a whole number from 1 to 1000";
/// `state`.
pub const STATE: &str = "state is active, retired, unclaimed or unlinked";
/// `after`.
pub const AFTER: &str = "after is an identity: the last one of the page before";
/// `format`.
pub const FORMAT: &str = "format is csv or jsonl";
/// A flag of an import.
pub const FLAG: &str = "allowLinks, unclaimed and dryRun are true or false";
/// The identity is not in the registry.
pub const UNKNOWN_IDENTITY: &str = "the registry does not know this identity";
/// The subject is not in the registry.
pub const UNKNOWN_SUBJECT: &str = "the registry does not know this subject";
/// `memory:`.
pub const NEEDS_DURABLE_STORE: &str =
    "this needs a durable store: store.url is memory:, which keeps nothing beyond the process";
/// An import's body.
pub const FILE_TOO_LARGE: &str = "send a file of at most 1 GiB";
/// An import's body.
pub const FILE_SLOW: &str = "no byte of the file came for 30 seconds: send it again";
/// One import at a time.
pub const IMPORT_BUSY: &str = "another import is under way: wait until it has ended; if its process has died, it is cleared away 2 minutes after its last sign of life";
/// An import that came to nothing.
pub const IMPORT_AGAIN: &str = "the import came to nothing, since people signed in meanwhile or it took too long: start it again";
/// An import's lines.
pub const BAD_LINES: &str =
    "some lines of the file cannot be read: lines names them; nothing of the file was taken";
/// An import's lines.
pub const CLASHING_LINES: &str = "some lines stand against each other or against the registry: lines names them; nothing of the file was taken";

/// No proof that a request was meant for egress.
pub const NO_PROOF: &str = "send Authorization: Basic with the account's or the API key's SID as user name, or Usher-Egress; where egress.token is set, with it as the password or value";
/// A header came twice.
pub const REPEATED_PROOF: &str = "send Usher-Egress once";
/// A look-up's parameters.
pub const LOOK_UP: &str = "ask with exactly one namespace and 1 to 100 subjects, percent-encoded";
