-- Texts are compared byte for byte; times are whole seconds since the Unix epoch.
CREATE TABLE meta (
    key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    value TEXT COLLATE "C" NOT NULL
);

-- An identity that was once given stays here for ever, so that nobody else gets it.
CREATE TABLE identities (
    identity TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- 'active' or 'retired'.
    state TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    -- 'derived' where usher derived it.
    origin TEXT COLLATE "C" NOT NULL,
    -- Of the identity key it was derived with; NULL where no key made it.
    fingerprint TEXT COLLATE "C"
);

CREATE TABLE subjects (
    namespace TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    identity TEXT COLLATE "C" NOT NULL REFERENCES identities (identity),
    linked_at BIGINT NOT NULL,
    PRIMARY KEY (namespace, subject)
);

CREATE INDEX subjects_by_identity ON subjects (identity);
