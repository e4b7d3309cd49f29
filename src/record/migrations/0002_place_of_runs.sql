-- Where the process of a run is, so that it can be seen from there whether it still lives.
ALTER TABLE runs ADD COLUMN place TEXT;
