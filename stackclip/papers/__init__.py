"""What papers print, and their tables as benches: published numbers, suites and schedules."""
