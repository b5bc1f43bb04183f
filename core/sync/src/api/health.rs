//! Whether the server answers at all. Any HTTP answer counts: the question is the network, not the server's mood.

use snaptrak_domain::transport::{Body, Method, Plan};

use super::Call;

/// Long enough for a handshake on a bad network, short enough to tell a person that there is none.
const PROBE_TIMEOUT_MS: u64 = 15_000;

/// Plans the probe.
#[must_use]
pub fn plan_probe(call: &Call<'_>) -> Plan {
    let mut plan = call.plan(Method::Get, "/healthz", Vec::new(), Body::Empty);
    plan.timeout_ms = PROBE_TIMEOUT_MS;
    plan
}
