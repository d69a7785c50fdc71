"""SIAF on CVAT jobs through cvat-sdk: reads scribbles, writes masks, runs rounds, carries state from job to job."""
