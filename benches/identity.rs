//! Who is calling: from what a switch reports to the pseudonym, the work of every `call.start`.
//!
//! `cargo bench --bench identity` prints it.
#![expect(clippy::expect_used, reason = "the inputs are written here")]

use std::borrow::Cow;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use recalld::domain::caller::{Evidence, Trunk, identify};
use recalld::domain::ids::InstanceId;
use recalld::domain::pseudonym::RootKey;

fn identity(criterion: &mut Criterion) {
    let key = RootKey::from_file(&[7; 32]).expect("a key").pseudonym_key(&"acme".parse().expect("a tenant"), 1);
    let instance: InstanceId = "support-de".parse().expect("an instance");
    let region = "DE".parse().expect("a region");
    let trunk = Trunk { trust_identity: true, region: &region, domain: "edge-1" };
    let asserted = [Cow::Borrowed("\"Erika Mustermann\" <sip:+493023125042@trunk.example.net;user=phone>")];
    let from = |party| Evidence {
        user_id: None,
        party,
        display: None,
        pai: &[],
        rpid: None,
        privacy: None,
        verstat: None,
        hidden_by_switch: false,
    };
    let mut group = criterion.benchmark_group("identity");
    for (name, evidence) in [
        ("e164", from("sip:+493023125001@trunk.example.net")),
        ("national", from("sip:03023125001@trunk.example.net")),
        ("asserted", Evidence { pai: &asserted, ..from("\"Alice\" <sip:+493023125001@trunk.example.net>;tag=1") }),
        ("extension", from("sip:1001@pbx.example.com")),
        ("address", from("sip:alice@example.com")),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let caller = identify(black_box(&evidence), &trunk);
                caller.canonical.map(|canonical| key.keyed_value(&canonical, &instance))
            });
        });
    }
    let caller = identify(&from("sip:+493023125001@trunk.example.net"), &trunk).canonical.expect("a caller");
    group
        .bench_function("keyed value alone", |bencher| bencher.iter(|| key.keyed_value(black_box(&caller), &instance)));
    group.finish();
}

criterion_group!(benches, identity);
criterion_main!(benches);
