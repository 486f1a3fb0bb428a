//! Raw TOML to validated settings.
