"""Tables of scores → means, intervals, ranks, regional values: functions of tables, without pictures or pages."""
