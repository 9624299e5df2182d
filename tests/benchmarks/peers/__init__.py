"""Scripts that measure other tools, each in a virtual environment of its own, and what they found (JSON)."""
