"""EdgeTAM and SAM 2.1 as an engine, over the networks of Hugging Face transformers (optional extra `siaf-cvat[sam2]`).

transformers' own video session is not used: it overwrites corrections of frames that it has tracked, cannot remove
objects and cannot be saved. Here siaf's session holds the memory.
"""
