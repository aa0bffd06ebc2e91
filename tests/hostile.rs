//! Hostile input on the switch port (PRODUCT.md 4.4, 5.1): each is answered with a stable reason or closed, and no other
//! connection notices anything.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod support;

#[path = "hostile/frames.rs"]
mod frames;
#[path = "hostile/peers.rs"]
mod peers;
#[path = "hostile/values.rs"]
mod values;

use serde_json::{Value, json};

use support::{Daemon, Rpc};

const ANNA: &str = "+493023125101";

/// A connection with a call of its own, to see that others are not harmed.
struct Bystander {
    edge: Rpc,
    set: u64,
}

impl Bystander {
    fn of(daemon: &Daemon) -> Self {
        let mut edge = daemon.edge();
        edge.start("bystander", "+493023125199");
        Self { edge, set: 0 }
    }

    /// Its connection is the same as before, and its call, too.
    fn is_unharmed(&mut self) {
        self.set += 1;
        assert_eq!(self.edge.set("bystander", "session", json!({"times": self.set})), self.set);
        assert_eq!(self.edge.context("bystander")["variables"], json!({"times": self.set}));
    }
}

/// The reason of an error answer, whatever its id.
fn reason(document: &Value) -> String {
    support::rpc::read_answer(document).1.unwrap_err().reason
}
