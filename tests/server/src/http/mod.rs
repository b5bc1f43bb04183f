//! The HTTP API, version 1: one file an operation or a resource, `routes` as the only list of paths.

mod accounts;
pub(crate) mod authenticate;
mod body;
mod captures;
mod checksum;
mod content;
mod devices;
pub(crate) mod envelopes;
pub(crate) mod error;
mod fault_injection;
mod file_body;
mod findings;
mod ids;
mod model;
mod models;
mod openapi;
mod receipts;
mod records;
mod routes;
mod sessions;
mod trust;
mod tus;
mod upload_patch;
mod uploads;
mod written;

pub(crate) use fault_injection::ConnectionEnd;
pub(crate) use routes::router;
