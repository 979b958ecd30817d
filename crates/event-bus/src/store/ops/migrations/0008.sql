-- Errors and keys may quote personal data, and are masked from now on: the index is read once more.
DELETE FROM ops_positions;
DELETE FROM ops_letters;
DELETE FROM ops_histories;
DELETE FROM ops_idle;
DELETE FROM ops_sums;
DELETE FROM ops_hours;
