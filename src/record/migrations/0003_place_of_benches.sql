-- Where the process of a bench is, so that it can be seen from there whether it still lives.
ALTER TABLE benches ADD COLUMN place TEXT;
