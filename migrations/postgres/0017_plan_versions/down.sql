DROP TABLE catalogues;
DROP TABLE plans;
DROP TABLE plan_versions;
