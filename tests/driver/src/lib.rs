#![doc = include_str!("../README.md")]

mod client;
mod error;
mod http;
mod programs;
mod server;

pub use client::{Answer, Client};
pub use error::DriverError;
pub use http::Account;
pub use programs::Programs;
pub use server::Server;
