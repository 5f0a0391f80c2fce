BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'s');
INSERT INTO "studies" VALUES(2,'s.2');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MINIMIZE',1,0);
INSERT INTO "study_directions" VALUES(2,'MINIMIZE',2,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'identity','{"axes": ["h"], "config": {"batch": 16}}');
INSERT INTO "study_user_attributes" VALUES(2,1,'space','{"h": ["a", "b"]}');
INSERT INTO "study_user_attributes" VALUES(3,1,'family','"s"');
INSERT INTO "study_user_attributes" VALUES(4,1,'step_name','"kimg"');
INSERT INTO "study_user_attributes" VALUES(5,1,'objectives','["value"]');
INSERT INTO "study_user_attributes" VALUES(6,1,'aggregate','"median"');
INSERT INTO "study_user_attributes" VALUES(7,2,'identity','{"axes": ["h"], "config": {"batch": 16}}');
INSERT INTO "study_user_attributes" VALUES(8,2,'space','{"h": ["a", "b", "c"]}');
INSERT INTO "study_user_attributes" VALUES(9,2,'family','"s"');
INSERT INTO "study_user_attributes" VALUES(10,2,'step_name','"kimg"');
INSERT INTO "study_user_attributes" VALUES(11,2,'objectives','["value"]');
INSERT INTO "study_user_attributes" VALUES(12,2,'aggregate','"median"');
INSERT INTO "study_user_attributes" VALUES(13,1,'successor','"s.2"');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_heartbeats" VALUES(1,1,'2026-11-26 19:57:28');
INSERT INTO "trial_heartbeats" VALUES(2,2,'2026-11-26 19:57:28');
INSERT INTO "trial_heartbeats" VALUES(3,3,'2026-11-26 19:57:28');
INSERT INTO "trial_heartbeats" VALUES(4,9,'2026-11-26 19:57:28');
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'h',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", "b"]}}');
INSERT INTO "trial_params" VALUES(2,2,'h',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", "b"]}}');
INSERT INTO "trial_params" VALUES(3,3,'h',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", "b"]}}');
INSERT INTO "trial_params" VALUES(4,4,'h',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", "b"]}}');
INSERT INTO "trial_params" VALUES(5,5,'h',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", "b", "c"]}}');
INSERT INTO "trial_params" VALUES(6,6,'h',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", "b", "c"]}}');
INSERT INTO "trial_params" VALUES(7,7,'h',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", "b", "c"]}}');
INSERT INTO "trial_params" VALUES(8,8,'h',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", "b", "c"]}}');
INSERT INTO "trial_params" VALUES(9,9,'h',2.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["a", "b", "c"]}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'point','{"h": "a"}');
INSERT INTO "trial_user_attributes" VALUES(2,1,'replica','0');
INSERT INTO "trial_user_attributes" VALUES(3,1,'overrides','["h=a"]');
INSERT INTO "trial_user_attributes" VALUES(4,1,'run','0');
INSERT INTO "trial_user_attributes" VALUES(5,2,'point','{"h": "b"}');
INSERT INTO "trial_user_attributes" VALUES(6,2,'replica','0');
INSERT INTO "trial_user_attributes" VALUES(7,2,'overrides','["h=b"]');
INSERT INTO "trial_user_attributes" VALUES(8,2,'run','1');
INSERT INTO "trial_user_attributes" VALUES(9,3,'point','{"h": "a"}');
INSERT INTO "trial_user_attributes" VALUES(10,3,'replica','1');
INSERT INTO "trial_user_attributes" VALUES(11,3,'overrides','["h=a", "seed=1"]');
INSERT INTO "trial_user_attributes" VALUES(12,3,'run','2');
INSERT INTO "trial_user_attributes" VALUES(13,4,'point','{"h": "b"}');
INSERT INTO "trial_user_attributes" VALUES(14,4,'replica','1');
INSERT INTO "trial_user_attributes" VALUES(15,4,'overrides','["h=b", "seed=1"]');
INSERT INTO "trial_user_attributes" VALUES(16,4,'run','3');
INSERT INTO "trial_user_attributes" VALUES(17,1,'owner','{"host": "node1", "namespace": "pid:[1]", "pid": 22530, "started": 1795723046.76, "leader": null}');
INSERT INTO "trial_user_attributes" VALUES(18,1,'run_dir','"/runs/0"');
INSERT INTO "trial_user_attributes" VALUES(19,2,'owner','{"host": "node1", "namespace": "pid:[1]", "pid": 22530, "started": 1795723046.76, "leader": null}');
INSERT INTO "trial_user_attributes" VALUES(20,2,'run_dir','"/runs/1"');
INSERT INTO "trial_user_attributes" VALUES(21,2,'reason','"DivergenceError: nan"');
INSERT INTO "trial_user_attributes" VALUES(22,3,'owner','{"host": "node1", "namespace": "pid:[1]", "pid": 22530, "started": 1795723046.76, "leader": null}');
INSERT INTO "trial_user_attributes" VALUES(23,3,'run_dir','"/runs/2"');
INSERT INTO "trial_user_attributes" VALUES(24,5,'overrides','["h=a"]');
INSERT INTO "trial_user_attributes" VALUES(25,5,'owner','{"host": "node1", "namespace": "pid:[1]", "pid": 22530, "started": 1795723046.76, "leader": null}');
INSERT INTO "trial_user_attributes" VALUES(26,5,'point','{"h": "a"}');
INSERT INTO "trial_user_attributes" VALUES(27,5,'replica','0');
INSERT INTO "trial_user_attributes" VALUES(28,5,'run','0');
INSERT INTO "trial_user_attributes" VALUES(29,5,'run_dir','"/runs/0"');
INSERT INTO "trial_user_attributes" VALUES(30,6,'overrides','["h=b"]');
INSERT INTO "trial_user_attributes" VALUES(31,6,'owner','{"host": "node1", "namespace": "pid:[1]", "pid": 22530, "started": 1795723046.76, "leader": null}');
INSERT INTO "trial_user_attributes" VALUES(32,6,'point','{"h": "b"}');
INSERT INTO "trial_user_attributes" VALUES(33,6,'reason','"DivergenceError: nan"');
INSERT INTO "trial_user_attributes" VALUES(34,6,'replica','0');
INSERT INTO "trial_user_attributes" VALUES(35,6,'run','1');
INSERT INTO "trial_user_attributes" VALUES(36,6,'run_dir','"/runs/1"');
INSERT INTO "trial_user_attributes" VALUES(37,7,'overrides','["h=a", "seed=1"]');
INSERT INTO "trial_user_attributes" VALUES(38,7,'owner','{"host": "node1", "namespace": "pid:[1]", "pid": 22530, "started": 1795723046.76, "leader": null}');
INSERT INTO "trial_user_attributes" VALUES(39,7,'point','{"h": "a"}');
INSERT INTO "trial_user_attributes" VALUES(40,7,'replica','1');
INSERT INTO "trial_user_attributes" VALUES(41,7,'run','2');
INSERT INTO "trial_user_attributes" VALUES(42,7,'run_dir','"/runs/2"');
INSERT INTO "trial_user_attributes" VALUES(43,8,'overrides','["h=b", "seed=1"]');
INSERT INTO "trial_user_attributes" VALUES(44,8,'point','{"h": "b"}');
INSERT INTO "trial_user_attributes" VALUES(45,8,'replica','1');
INSERT INTO "trial_user_attributes" VALUES(46,8,'run','3');
INSERT INTO "trial_user_attributes" VALUES(47,9,'point','{"h": "c"}');
INSERT INTO "trial_user_attributes" VALUES(48,9,'replica','0');
INSERT INTO "trial_user_attributes" VALUES(49,9,'overrides','["h=c"]');
INSERT INTO "trial_user_attributes" VALUES(50,9,'run','4');
INSERT INTO "trial_user_attributes" VALUES(51,9,'owner','{"host": "node1", "namespace": "pid:[1]", "pid": 22530, "started": 1795723046.76, "leader": null}');
INSERT INTO "trial_user_attributes" VALUES(52,9,'run_dir','"/runs/x"');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,3.0,'FINITE');
INSERT INTO "trial_values" VALUES(2,3,0,3.5,'FINITE');
INSERT INTO "trial_values" VALUES(3,5,0,3.0,'FINITE');
INSERT INTO "trial_values" VALUES(4,7,0,3.5,'FINITE');
INSERT INTO "trial_values" VALUES(5,9,0,2.0,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-26 19:57:28.763704','2026-11-26 19:57:28.777417');
INSERT INTO "trials" VALUES(2,1,1,'FAIL','2026-11-26 19:57:28.788467','2026-11-26 19:57:28.798577');
INSERT INTO "trials" VALUES(3,2,1,'COMPLETE','2026-11-26 19:57:28.810471','2026-11-26 19:57:28.819636');
INSERT INTO "trials" VALUES(4,3,1,'WAITING',NULL,NULL);
INSERT INTO "trials" VALUES(5,0,2,'COMPLETE','2026-11-26 19:57:28.763704','2026-11-26 19:57:28.777417');
INSERT INTO "trials" VALUES(6,1,2,'FAIL','2026-11-26 19:57:28.788467','2026-11-26 19:57:28.798577');
INSERT INTO "trials" VALUES(7,2,2,'COMPLETE','2026-11-26 19:57:28.810471','2026-11-26 19:57:28.819636');
INSERT INTO "trials" VALUES(8,3,2,'WAITING',NULL,NULL);
INSERT INTO "trials" VALUES(9,4,2,'COMPLETE','2026-11-26 19:57:28.937701','2026-11-26 19:57:28.946165');
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
COMMIT;
