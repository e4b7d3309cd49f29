-- The hook that was due when a run ended, and what became of it: until that is known it may not have run.
ALTER TABLE runs ADD COLUMN hook TEXT;
ALTER TABLE runs ADD COLUMN hook_ended TEXT;
ALTER TABLE runs ADD COLUMN hook_error TEXT;
