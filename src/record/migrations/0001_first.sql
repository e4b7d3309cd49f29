-- Times are UTC in RFC 3339 with three decimals, so that they sort as texts; in leases and benches they
-- are milliseconds since 1970, by the database's own clock.
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    process TEXT NOT NULL,
    bench TEXT NOT NULL,
    slot TEXT,
    operator TEXT NOT NULL,
    part TEXT NOT NULL,
    started TEXT NOT NULL,
    ended TEXT,
    device_id TEXT,
    platform TEXT,
    firmware TEXT,
    product TEXT,
    customer TEXT,
    outcome TEXT NOT NULL,
    failure_code TEXT,
    failure_step TEXT,
    detail TEXT,
    settled_by TEXT,
    version TEXT NOT NULL
);
CREATE INDEX runs_by_start ON runs (started);
CREATE INDEX runs_by_device ON runs (device_id, outcome);

CREATE TABLE steps (
    run_id TEXT NOT NULL REFERENCES runs (id),
    step TEXT NOT NULL,
    started TEXT NOT NULL,
    ended TEXT,
    tries BIGINT NOT NULL,
    outcome TEXT,
    failure_code TEXT,
    PRIMARY KEY (run_id, step)
);

CREATE TABLE retries (
    run_id TEXT NOT NULL REFERENCES runs (id),
    number BIGINT NOT NULL,
    step TEXT NOT NULL,
    at TEXT NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (run_id, number)
);

CREATE TABLE intents (
    run_id TEXT NOT NULL REFERENCES runs (id),
    step TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (run_id, step)
);

CREATE TABLE leases (
    device_id TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    process TEXT NOT NULL,
    place TEXT,
    bench TEXT NOT NULL,
    until BIGINT NOT NULL
);
CREATE INDEX leases_by_holder ON leases (holder);

CREATE TABLE orders (
    id TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    position BIGINT NOT NULL,
    device_id TEXT,
    customer TEXT,
    name TEXT,
    note TEXT,
    bound_to TEXT,
    state TEXT NOT NULL,
    UNIQUE (source, bound_to)
);
CREATE INDEX orders_by_position ON orders (source, state, position);

CREATE TABLE benches (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    started BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    slots BIGINT NOT NULL,
    under_way BIGINT NOT NULL,
    passed BIGINT NOT NULL,
    failed BIGINT NOT NULL
);
