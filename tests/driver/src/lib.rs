#![doc = include_str!("../README.md")]

mod cache;
mod client;
mod error;
mod http;
pub mod patience;
mod programs;
mod publisher;
mod server;
mod station;
mod wire;

pub use cache::Cache;
pub use client::{Answer, Client};
pub use error::DriverError;
pub use http::{Account, get};
pub use programs::Programs;
pub use publisher::{FACES, Publisher, Release};
pub use server::Server;
pub use station::{Captured, EMAIL, PASSWORD, Station, captures, now_ms};
pub use wire::Wire;
