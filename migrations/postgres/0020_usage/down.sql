DROP TABLE usage_uniques;
DROP TABLE usage_rollups;
DROP TABLE usage_generations;
DROP TABLE usage_events;
