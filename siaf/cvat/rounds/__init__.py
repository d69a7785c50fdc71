"""Rounds on jobs: what is new, the round itself, many jobs, objects that go from job to job."""
