DROP TABLE operator_users;
