DROP INDEX operations_by_end;
DROP TABLE mails;
