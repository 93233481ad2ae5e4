-- Which import an identity came with; NULL where none brought it.
ALTER TABLE identities ADD COLUMN import BIGINT;

-- What operators did to an identity. `namespace` and `subject` are those a link, an unlink or an adoption was about;
-- after an erasure keyed digests stand for names and reasons.
CREATE TABLE history (
    identity TEXT COLLATE "C" NOT NULL,
    -- The edition that this made.
    edition BIGINT NOT NULL,
    what TEXT COLLATE "C" NOT NULL,
    -- Both empty where it was about nobody.
    namespace TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    who TEXT COLLATE "C" NOT NULL,
    why TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (identity, edition, what, namespace, subject)
);

CREATE INDEX history_by_subject ON history (namespace, subject) WHERE subject <> '';

-- Whose bindings changed lately, for those who remember them; a digest, or '*' for everybody's.
CREATE TABLE changes (
    edition BIGINT NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (edition, digest)
);

-- Identities that wait for the first sign-in whose claim has this value. `folded` is the value in lower case.
CREATE TABLE unclaimed (
    namespace TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    folded TEXT COLLATE "C" NOT NULL,
    identity TEXT COLLATE "C" NOT NULL,
    -- 1 once somebody has taken it.
    taken BIGINT NOT NULL,
    PRIMARY KEY (namespace, value)
);

CREATE INDEX unclaimed_by_folded ON unclaimed (namespace, folded);
CREATE INDEX unclaimed_by_identity ON unclaimed (identity);

-- Keyed digests of subjects that were erased, and the identity that stays reserved.
CREATE TABLE erased (
    digest TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    identity TEXT COLLATE "C" NOT NULL
);

-- Who imported what is in the registry, or is about to be.
CREATE TABLE imports (
    id BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    -- When its process last did something.
    beat BIGINT NOT NULL,
    who TEXT COLLATE "C" NOT NULL,
    why TEXT COLLATE "C" NOT NULL,
    -- Of the identity key, where the file holds identities that were derived with it.
    fingerprint TEXT COLLATE "C"
);

-- What an import laid aside. `waits` is 1 where `subject` is the value of a claim; both texts are empty where the
-- identity has no subject. `state` is 'active' or 'retired'.
CREATE TABLE staged (
    import BIGINT NOT NULL,
    namespace TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    waits BIGINT NOT NULL,
    identity TEXT COLLATE "C" NOT NULL,
    -- In lower case where `waits` is 1, else empty.
    folded TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    -- Of the identity key that derives this identity for this subject; NULL where it came from elsewhere.
    fingerprint TEXT COLLATE "C",
    line BIGINT NOT NULL,
    PRIMARY KEY (import, namespace, subject, waits, identity)
);

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
INSERT INTO meta (key, value) VALUES ('store', gen_random_uuid()::text);
