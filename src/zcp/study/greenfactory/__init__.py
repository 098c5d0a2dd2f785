"""The paper's protocol, and what it did not ask; one module a section."""
