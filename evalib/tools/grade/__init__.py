"""Marking submissions of the S3 assignment, read without running them or executed."""
