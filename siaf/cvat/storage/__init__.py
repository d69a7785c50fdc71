"""Where sessions of jobs are kept between rounds, and files that go from store to store."""
