//! A server in memory behind the transport trait: it answers at once, on the caller's thread, and does wrong what it is told
//! to. It judges what it gets as the real one does: an append must begin where it stands.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use snaptrak_domain::queue_store::QueueStore;
use snaptrak_domain::transport::{
    Body, Capabilities, Method, Plan, Response, TransferError, TransferEvent, TransferEvents, TransferId, Transport,
};
use snaptrak_domain::{AccountId, AssetId, Clock, UnixMs};
use snaptrak_seal::{CountersignClaims, PieceEntry, countersign};
use snaptrak_testkit::{FakeClock, memory_queue::MemoryQueue};

use crate::testing::Organisation;

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// This answer instead.
    Status(u16, Value),
    /// The connection breaks after so many bytes of the body arrived.
    Break(u64),
    /// Nothing happens until the transfer is cancelled.
    Hang,
}

/// Decides about each request: method, path, and how many there were.
pub(super) type Faults = Box<dyn FnMut(Method, &str, u64) -> Option<Fault> + Send>;

#[derive(Debug, Default, Clone)]
struct UploadAtServer {
    asset: String,
    piece: u32,
    length: u64,
    bytes: Vec<u8>,
    capability: String,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) records: BTreeMap<String, u64>,
    pub(super) envelopes: BTreeSet<String>,
    pub(super) findings: BTreeSet<String>,
    uploads: Vec<UploadAtServer>,
    pub(super) refuse_record: Option<String>,
    /// The only access token that is good; `None`: every one is.
    pub(super) good_access: Option<String>,
    /// Tokens speak for another account than the one that every test is enrolled with.
    pub(super) of_another_account: bool,
    pub(super) refresh_works: bool,
    pub(super) refreshes: u64,
    /// Questions about a receipt until it is there.
    pub(super) polls_until_verified: u32,
    polls: HashMap<String, u32>,
    /// Envelopes of an asset until one brings this device's signature.
    pub(super) envelopes_until_signed: u32,
    envelope_counts: HashMap<String, u32>,
    pub(super) receipt_failure: Option<(String, String)>,
    pub(super) bundle: Vec<u8>,
    pub(super) faults: Option<Faults>,
    pub(super) requests: u64,
    pub(super) log: Vec<String>,
    pub(super) bodies_bytes: u64,
    hanging: HashMap<TransferId, Arc<dyn TransferEvents>>,
}

pub(super) struct FakeServer {
    pub(super) organisation: Organisation,
    queue: Arc<MemoryQueue>,
    clock: Arc<FakeClock>,
    state: Mutex<State>,
}

fn respond(status: u16, headers: &[(&str, String)], body: &Value) -> Response {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    Response { status, headers, body }
}

fn refuse(status: u16, code: &str) -> Response {
    respond(status, &[], &json!({"code": code, "message": "as told"}))
}

fn tus(status: u16, more: &[(&str, String)]) -> Response {
    let mut headers = vec![("tus-resumable", "1.0.0".to_owned())];
    headers.extend_from_slice(more);
    respond(status, &headers, &Value::Null)
}

impl FakeServer {
    pub(super) fn new(organisation: Organisation, queue: Arc<MemoryQueue>, clock: Arc<FakeClock>) -> Self {
        let bundle = organisation.bundle(1);
        let state = State { bundle, refresh_works: true, ..State::default() };
        Self { organisation, queue, clock, state: Mutex::new(state) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn answer(&self, state: &mut State, plan: &Plan, body: &[u8]) -> Response {
        let path = plan.url.strip_prefix("https://api.example").unwrap().to_owned();
        let header = |name: &str| plan.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        let open = matches!(path.as_str(), "/healthz" | "/v1/trust" | "/v1/sessions/refresh");
        if let ["uploads", id] = parts[..] {
            let index: usize = id.parse().unwrap();
            return self.on_upload(state, index, plan.method, &header, body);
        }
        let access = header("authorization").unwrap_or_default();
        if !open && state.good_access.as_ref().is_some_and(|good| access != format!("Bearer {good}")) {
            return refuse(401, "access_expired");
        }
        match (plan.method, &parts[..]) {
            (Method::Get, ["", "healthz"]) => respond(200, &[], &json!({})),
            (Method::Get, ["trust"]) => Response { status: 200, headers: Vec::new(), body: state.bundle.clone() },
            (Method::Post, ["sessions", "refresh"]) => self.on_refresh(state),
            (Method::Get, ["sessions"]) => {
                let account_id = AccountId::from_bytes([if state.of_another_account { 2 } else { 1 }; 16]);
                let whose = json!({
                    "account_id": account_id, "organisation_id": self.organisation.id,
                    "server_time_ms": self.clock.now(),
                });
                respond(200, &[], &whose)
            }
            (Method::Put, ["devices", _]) => respond(201, &[], &json!({})),
            (Method::Post, ["records"]) => on_records(state, body),
            (Method::Put, ["assets", asset, "envelope"]) => {
                state.envelopes.insert((*asset).to_owned());
                *state.envelope_counts.entry((*asset).to_owned()).or_insert(0) += 1;
                respond(204, &[], &Value::Null)
            }
            (Method::Put, ["captures", capture, "findings"]) => {
                state.findings.insert((*capture).to_owned());
                respond(204, &[], &Value::Null)
            }
            (Method::Post, ["uploads"]) => on_create(state, &header),
            (Method::Post, ["receipts"]) => self.on_receipts(state, body),
            other => panic!("no such operation: {other:?}"),
        }
    }

    fn on_refresh(&self, state: &mut State) -> Response {
        state.refreshes += 1;
        if !state.refresh_works {
            return refuse(401, "refresh_invalid");
        }
        let access = format!("access-{}", state.refreshes);
        state.good_access = Some(access.clone());
        let now = self.clock.now().0;
        let body = json!({
            "account_id": "01890000-0000-7000-8000-000000000001", "organisation_id": self.organisation.id,
            "access_token": access, "access_expires_ms": now + 900_000,
            "refresh_token": format!("refresh-{}", state.refreshes), "server_time_ms": now,
        });
        respond(200, &[], &body)
    }

    fn on_upload(
        &self,
        state: &mut State,
        index: usize,
        method: Method,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
    ) -> Response {
        let Some(upload) = state.uploads.get_mut(index) else { return tus(404, &[]) };
        if header("authorization") != Some(format!("Bearer {}", upload.capability)) {
            return tus(401, &[]);
        }
        let stands = |upload: &UploadAtServer| {
            [("upload-offset", upload.bytes.len().to_string()), ("upload-length", upload.length.to_string())]
        };
        match method {
            Method::Head => tus(200, &stands(upload)),
            Method::Patch => {
                if header("upload-offset") != Some(upload.bytes.len().to_string()) {
                    return tus(409, &[]);
                }
                upload.bytes.extend_from_slice(body);
                tus(204, &stands(upload))
            }
            Method::Get | Method::Post | Method::Put | Method::Delete => tus(405, &[]),
        }
    }

    /// Whether every piece of an asset is here, byte for byte.
    pub(super) fn holds(&self, state: &State, asset_id: AssetId) -> bool {
        let expected = self.queue.expected_receipt(asset_id).unwrap();
        expected.pieces.iter().all(|(index, bytes, sha256)| {
            let mut uploads = state.uploads.iter();
            uploads.any(|upload| {
                upload.asset == asset_id.to_string()
                    && upload.piece == *index
                    && upload.bytes.len() as u64 == *bytes
                    && snaptrak_testkit::memory_queue::sha256(&upload.bytes) == *sha256
            })
        })
    }

    fn on_receipts(&self, state: &mut State, body: &[u8]) -> Response {
        let request: Value = serde_json::from_slice(body).unwrap();
        let results: Vec<Value> =
            request["assets"].as_array().unwrap().iter().map(|id| self.receipt(state, id.as_str().unwrap())).collect();
        respond(200, &[], &json!({"results": results}))
    }

    fn receipt(&self, state: &mut State, id: &str) -> Value {
        let asset_id: AssetId = id.parse().unwrap();
        if let Some((_, code)) = state.receipt_failure.as_ref().filter(|(asset, _)| asset == id) {
            return json!({"asset_id": id, "state": "failed", "code": code, "message": "as told"});
        }
        let polls = state.polls.entry(id.to_owned()).or_insert(0);
        *polls += 1;
        if *polls <= state.polls_until_verified {
            return json!({"asset_id": id, "state": "pending", "waiting_for": ["verification"]});
        }
        if !self.holds(state, asset_id) || !state.envelopes.contains(id) {
            return json!({"asset_id": id, "state": "pending", "waiting_for": ["pieces"]});
        }
        if state.envelope_counts[id] <= state.envelopes_until_signed {
            return json!({"asset_id": id, "state": "pending", "waiting_for": ["device_receipt"]});
        }
        let signed = self.countersigned(asset_id);
        json!({"asset_id": id, "state": "verified", "countersigned": STANDARD.encode(signed)})
    }

    fn countersigned(&self, asset_id: AssetId) -> Vec<u8> {
        let expected = self.queue.expected_receipt(asset_id).unwrap();
        let entry = |(index, sealed_bytes, sealed_sha256): &(u32, u64, _)| PieceEntry {
            index: *index,
            sealed_bytes: *sealed_bytes,
            sealed_sha256: *sealed_sha256,
        };
        let claims = CountersignClaims {
            organisation_id: self.organisation.id,
            asset_id,
            receipt: expected.receipt_payload_sha256,
            sha256: Some(expected.sha256),
            bytes: expected.bytes,
            pieces: expected.pieces.iter().map(entry).collect(),
            wrap_key_id: self.organisation.upload_key_id(),
            verified_ms: UnixMs(1),
            server_id: "fake".to_owned(),
        };
        countersign(&claims, &self.organisation.countersigner).unwrap()
    }
}

fn on_records(state: &mut State, body: &[u8]) -> Response {
    let request: Value = serde_json::from_slice(body).unwrap();
    let mut results = Vec::new();
    for record in request["records"].as_array().unwrap() {
        let id = record["id"].as_str().unwrap().to_owned();
        if state.refuse_record.as_ref() == Some(&id) {
            results.push(json!({"id": id, "outcome": "refused", "code": "record_invalid", "message": "as told"}));
            continue;
        }
        let times = state.records.entry(id.clone()).or_insert(0);
        *times += 1;
        let outcome = if *times == 1 { "accepted" } else { "unchanged" };
        results.push(json!({"id": id, "outcome": outcome}));
    }
    respond(200, &[], &json!({"results": results}))
}

fn on_create(state: &mut State, header: &dyn Fn(&str) -> Option<String>) -> Response {
    let metadata = header("upload-metadata").unwrap();
    let field = |name: &str| {
        let pair = metadata.split(',').find_map(|pair| pair.strip_prefix(&format!("{name} "))).unwrap();
        String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap()
    };
    let (asset, piece) = (field("asset"), field("piece").parse().unwrap());
    let known = state.uploads.iter().position(|upload| upload.asset == asset && upload.piece == piece);
    let index = known.unwrap_or_else(|| {
        let length = header("upload-length").unwrap().parse().unwrap();
        state.uploads.push(UploadAtServer { asset, piece, length, ..UploadAtServer::default() });
        state.uploads.len() - 1
    });
    let capability = format!("capability-{index}-{}", state.requests);
    state.uploads[index].capability.clone_from(&capability);
    let headers = [
        ("location", format!("/v1/uploads/{index}")),
        ("snaptrak-capability", capability),
        ("snaptrak-capability-expires", i64::MAX.to_string()),
        ("upload-offset", state.uploads[index].bytes.len().to_string()),
    ];
    tus(if known.is_some() { 200 } else { 201 }, &headers)
}

impl Transport for FakeServer {
    fn capabilities(&self) -> Capabilities {
        Capabilities { ranges: true, redirect_control: true, bodyless_requests: true }
    }

    fn start(&self, plan: Plan, events: Arc<dyn TransferEvents>) {
        let id = plan.id;
        let body = match &plan.body {
            Body::Empty => Vec::new(),
            Body::Bytes(bytes) => bytes.clone(),
            Body::File { path, offset, length } => {
                let whole = std::fs::read(path).unwrap();
                whole[usize::try_from(*offset).unwrap()..][..usize::try_from(*length).unwrap()].to_vec()
            }
        };
        let mut state = self.state();
        state.requests += 1;
        let (number, path) = (state.requests, plan.url.strip_prefix("https://api.example").unwrap().to_owned());
        state.log.push(format!("{} {path}", plan.method.as_str()));
        let mut faults = state.faults.take();
        let fault = faults.as_mut().and_then(|decide| decide(plan.method, &path, number));
        state.faults = faults;
        let result = match fault {
            Some(Fault::Hang) => {
                state.hanging.insert(id, events);
                return;
            }
            Some(Fault::Status(status, body)) => Ok(respond(status, &[("tus-resumable", "1.0.0".into())], &body)),
            Some(Fault::Break(bytes)) => {
                let arrived = body.len().min(usize::try_from(bytes).unwrap());
                if plan.method == Method::Patch {
                    state.bodies_bytes += arrived as u64;
                    self.answer(&mut state, &plan, &body[..arrived]);
                    events.on_event(TransferEvent::Progress { id, sent_bytes: arrived as u64 });
                }
                Err(TransferError::Offline)
            }
            None => {
                if plan.method == Method::Patch {
                    state.bodies_bytes += body.len() as u64;
                }
                Ok(self.answer(&mut state, &plan, &body))
            }
        };
        drop(state);
        events.on_event(TransferEvent::Finished { id, result });
    }

    fn cancel(&self, id: TransferId) {
        if let Some(events) = self.state().hanging.remove(&id) {
            events.on_event(TransferEvent::Finished { id, result: Err(TransferError::Cancelled) });
        }
    }
}
