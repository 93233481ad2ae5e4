-- Texts are compared byte for byte (BINARY, SQLite's default); times are whole seconds since the Unix epoch.
CREATE TABLE meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- An identity that was once given stays here for ever, so that nobody else gets it.
CREATE TABLE identities (
    identity TEXT NOT NULL PRIMARY KEY,
    -- 'active' or 'retired'.
    state TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- 'derived' where usher derived it.
    origin TEXT NOT NULL,
    -- Of the identity key it was derived with; NULL where no key made it.
    fingerprint TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE subjects (
    namespace TEXT NOT NULL,
    subject TEXT NOT NULL,
    identity TEXT NOT NULL REFERENCES identities (identity),
    linked_at INTEGER NOT NULL,
    PRIMARY KEY (namespace, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX subjects_by_identity ON subjects (identity);
