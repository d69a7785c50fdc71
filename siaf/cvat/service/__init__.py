"""`siaf cvat service`: rounds on request of a script in CVAT's own pages, each as the person who asked for it."""
