//! The configuration file (PRODUCT.md 8): strict TOML into checked values, without binding anything.
