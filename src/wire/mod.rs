//! Bytes of the switch protocols in, typed messages out (PRODUCT.md 5). Knows no actor and no store.
