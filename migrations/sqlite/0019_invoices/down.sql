DROP TABLE billing_events;
DROP TABLE billing_payments;
DROP TABLE billing_accounts;
DROP TABLE invoice_numbers;
DROP TABLE invoice_lines;
DROP TABLE invoices;
