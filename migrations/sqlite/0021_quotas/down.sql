DROP TABLE quota_thresholds;
DROP TABLE quota_takes;
DROP TABLE quota_counters;
