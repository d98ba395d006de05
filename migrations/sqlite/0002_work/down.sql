DROP TABLE operation_steps;
DROP TABLE operations;
