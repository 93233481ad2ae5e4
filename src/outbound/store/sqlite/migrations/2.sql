-- Columns of a primary key come first: SQLite 3.40's integrity_check mistakes others for NULL where they do not.

-- Which import an identity came with; NULL where none brought it.
ALTER TABLE identities ADD COLUMN import INTEGER;

-- What operators did to an identity. `namespace` and `subject` are those a link, an unlink or an adoption was about;
-- after an erasure keyed digests stand for names and reasons.
CREATE TABLE history (
    identity TEXT NOT NULL,
    -- The edition that this made.
    edition INTEGER NOT NULL,
    what TEXT NOT NULL,
    -- Both empty where it was about nobody.
    namespace TEXT NOT NULL,
    subject TEXT NOT NULL,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (identity, edition, what, namespace, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX history_by_subject ON history (namespace, subject) WHERE subject <> '';

-- Whose bindings changed lately, for those who remember them; a digest, or '*' for everybody's.
CREATE TABLE changes (
    edition INTEGER NOT NULL,
    digest TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (edition, digest)
) STRICT, WITHOUT ROWID;

-- Identities that wait for the first sign-in whose claim has this value. `folded` is the value in lower case.
CREATE TABLE unclaimed (
    namespace TEXT NOT NULL,
    value TEXT NOT NULL,
    folded TEXT NOT NULL,
    identity TEXT NOT NULL,
    -- 1 once somebody has taken it.
    taken INTEGER NOT NULL,
    PRIMARY KEY (namespace, value)
) STRICT, WITHOUT ROWID;

CREATE INDEX unclaimed_by_folded ON unclaimed (namespace, folded);
CREATE INDEX unclaimed_by_identity ON unclaimed (identity);

-- Keyed digests of subjects that were erased, and the identity that stays reserved.
CREATE TABLE erased (
    digest TEXT NOT NULL PRIMARY KEY,
    identity TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Who imported what is in the registry, or is about to be.
CREATE TABLE imports (
    id INTEGER NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    -- When its process last did something.
    beat INTEGER NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    -- Of the identity key, where the file holds identities that were derived with it.
    fingerprint TEXT
) STRICT;

-- What an import laid aside. `waits` is 1 where `subject` is the value of a claim; both texts are empty where the
-- identity has no subject. `state` is 'active' or 'retired'.
CREATE TABLE staged (
    import INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    subject TEXT NOT NULL,
    waits INTEGER NOT NULL,
    identity TEXT NOT NULL,
    -- In lower case where `waits` is 1, else empty.
    folded TEXT NOT NULL,
    state TEXT NOT NULL,
    -- Of the identity key that derives this identity for this subject; NULL where it came from elsewhere.
    fingerprint TEXT,
    line INTEGER NOT NULL,
    PRIMARY KEY (import, namespace, subject, waits, identity)
) STRICT, WITHOUT ROWID;

CREATE INDEX staged_by_identity ON staged (identity);
CREATE INDEX staged_by_folded ON staged (namespace, folded) WHERE waits = 1;

-- The number of the newest edition. Whoever changes something takes this row first, and first sights share it.
INSERT INTO meta (key, value) VALUES ('edition', '0');
-- The one import that is under way, or '': 'staging ID', 'checking ID', 'applied ID' (it holds; its rows are still being
-- moved), or 'given-up ID'. While one is being compared there is a row 'overtaken' once something it was compared with
-- has changed.
INSERT INTO meta (key, value) VALUES ('import', '');
-- Changes up to this edition have been thrown away.
INSERT INTO meta (key, value) VALUES ('pruned', '0');
-- Tells this store from any other, so that nobody goes on in a new one that was put in its place.
INSERT INTO meta (key, value) VALUES ('store', lower(hex(randomblob(16))));
