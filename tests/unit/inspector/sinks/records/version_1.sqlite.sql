CREATE TABLE engines (
  id INTEGER NOT NULL,
  identity TEXT NOT NULL,
  PRIMARY KEY (id),
  UNIQUE (identity)
);
CREATE TABLE recipes (
  id INTEGER NOT NULL,
  identity TEXT NOT NULL,
  PRIMARY KEY (id),
  UNIQUE (identity)
);
CREATE TABLE runs (
  id INTEGER NOT NULL,
  "key" VARCHAR(36) NOT NULL,
  line TEXT NOT NULL,
  host TEXT NOT NULL,
  folder TEXT NOT NULL,
  started_ns BIGINT NOT NULL,
  PRIMARY KEY (id),
  UNIQUE ("key")
);
CREATE TABLE schema_version (
  version INTEGER NOT NULL
);
CREATE TABLE defects (
  run_id INTEGER NOT NULL,
  camera TEXT NOT NULL,
  frame_id BIGINT NOT NULL,
  captured_ns BIGINT NOT NULL,
  n INTEGER NOT NULL,
  defect_id TEXT NOT NULL,
  began_ns BIGINT NOT NULL,
  kind INTEGER NOT NULL,
  name TEXT NOT NULL,
  x_px INTEGER NOT NULL,
  y_px INTEGER NOT NULL,
  width_px INTEGER NOT NULL,
  height_px INTEGER NOT NULL,
  area_px INTEGER NOT NULL,
  area_mm2 DOUBLE NOT NULL,
  across_mm DOUBLE NOT NULL,
  along_mm DOUBLE NOT NULL,
  score DOUBLE NOT NULL,
  UNIQUE (run_id, camera, frame_id, captured_ns, n),
  FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE TABLE marks (
  id INTEGER NOT NULL,
  coil TEXT,
  run_id INTEGER,
  camera TEXT,
  frame_id BIGINT,
  note TEXT NOT NULL,
  marked_by TEXT NOT NULL,
  marked_ns BIGINT NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY(run_id) REFERENCES runs (id)
);
CREATE INDEX marks_by_coil ON marks (coil);
CREATE INDEX marks_by_frame ON marks (run_id, camera, frame_id);
CREATE TABLE verdicts (
  id INTEGER NOT NULL,
  run_id INTEGER NOT NULL,
  camera TEXT NOT NULL,
  frame_id BIGINT NOT NULL,
  captured_ns BIGINT NOT NULL,
  recorded_ns BIGINT NOT NULL,
  position_mm DOUBLE NOT NULL,
  coil TEXT,
  decision VARCHAR(11) NOT NULL,
  reasons TEXT,
  defects INTEGER NOT NULL,
  recipe_id INTEGER NOT NULL,
  engine_id INTEGER NOT NULL,
  file TEXT,
  transfer_ms DOUBLE,
  batch_ms DOUBLE,
  engine_ms DOUBLE,
  decide_ms DOUBLE,
  total_ms DOUBLE,
  PRIMARY KEY (id),
  UNIQUE (run_id, camera, frame_id, captured_ns),
  FOREIGN KEY(run_id) REFERENCES runs (id),
  FOREIGN KEY(recipe_id) REFERENCES recipes (id),
  FOREIGN KEY(engine_id) REFERENCES engines (id)
);
CREATE INDEX verdicts_by_coil ON verdicts (coil, id);
CREATE INDEX verdicts_by_run ON verdicts (run_id, id);
CREATE INDEX verdicts_by_time ON verdicts (captured_ns);
CREATE INDEX verdicts_rejected ON verdicts (run_id, id) WHERE decision = 'reject';
CREATE VIEW strip_defects AS SELECT run_id, camera, defect_id, began_ns, MAX(captured_ns) AS ended_ns, MIN(frame_id) AS first_frame, MAX(frame_id) AS last_frame, COUNT(DISTINCT captured_ns) AS frames, MIN(kind) AS kind, MIN(name) AS name, SUM(area_px) AS area_px, SUM(area_mm2) AS area_mm2, SUM(across_mm * area_px) / SUM(area_px) AS across_mm, SUM(along_mm * area_px) / SUM(area_px) AS along_mm, SUM(score * area_px) / SUM(area_px) AS score FROM defects GROUP BY run_id, camera, defect_id, began_ns;
