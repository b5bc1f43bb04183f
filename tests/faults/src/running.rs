//! A command of the client under way in its own process.

use snaptrak_driver::{Answer, Client};
use std::process::Child;

/// A command under way.
#[derive(Debug)]
pub struct Running {
    child: Child,
}

impl Running {
    /// Starts it.
    pub fn start(client: &Client, arguments: &[&str]) -> Self {
        Self { child: client.command(arguments).spawn().unwrap() }
    }

    /// Its process.
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGKILL, while it is still at work.
    pub fn kill(mut self) {
        assert!(self.is_alive(), "there is nothing to kill: the command has ended");
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub fn answer(self) -> Answer {
        let output = self.child.wait_with_output().unwrap();
        Answer::of("the command", &output).unwrap()
    }
}
