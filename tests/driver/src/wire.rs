//! A stretch of network between a client and a server, which a test can stop at an exact byte and cut.
//!
//! Owns a listening port on loopback and the connections through it. Refuses to know what is said on them. A fault on either
//! side ends the connection on both, as a router does.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// How much is passed on at a time, and so how exactly the wire stops.
const STEP_BYTES: usize = 8 * 1024;

/// A test that waits longer than this for a stop waits for something that will not happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Up,
    Down,
}

#[derive(Debug, Default)]
struct State {
    to: String,
    up_bytes: u64,
    down_bytes: u64,
    /// Nothing goes the first way any more once so many bytes have gone the second.
    stop: Option<(Way, Way, u64)>,
    /// Something is being held back.
    holds: bool,
    /// Counts the cuts: connections made before the last one are dead.
    cuts: u64,
    closed: bool,
    connections: Vec<TcpStream>,
}

impl State {
    fn gone(&self, way: Way) -> u64 {
        match way {
            Way::Up => self.up_bytes,
            Way::Down => self.down_bytes,
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// A stretch of network.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Wire {
    /// A wire that leads to the server at `address`.
    pub fn to(address: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let wire = Self { address: listener.local_addr()?, shared: Arc::default() };
        wire.shared.state().to = address.to_owned();
        let shared = Arc::clone(&wire.shared);
        thread::spawn(move || accept(&listener, &shared));
        Ok(wire)
    }

    /// What a client is told as the server's address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops what goes up once so many more bytes have gone up.
    pub fn stop_requests_after(&self, bytes: u64) {
        self.stop(Way::Up, Way::Up, bytes);
    }

    /// Stops what comes down once so many more bytes have gone up: the server does what it was asked, and nobody hears of it.
    pub fn stop_answers_after(&self, bytes: u64) {
        self.stop(Way::Down, Way::Up, bytes);
    }

    /// Stops what comes down once so many more bytes have come down: in the middle of a download.
    pub fn stop_downloads_after(&self, bytes: u64) {
        self.stop(Way::Down, Way::Down, bytes);
    }

    fn stop(&self, way: Way, counted: Way, bytes: u64) {
        let mut state = self.shared.state();
        state.stop = Some((way, counted, state.gone(counted) + bytes));
        state.holds = false;
    }

    /// Waits until something is held back; false if that does not happen.
    pub fn wait_until_stopped(&self) -> bool {
        let state = self.shared.state();
        let waited = self.shared.changed.wait_timeout_while(state, PATIENCE, |state| !state.holds);
        waited.unwrap_or_else(PoisonError::into_inner).0.holds
    }

    /// Lets everything through again.
    pub fn release(&self) {
        let mut state = self.shared.state();
        state.stop = None;
        state.holds = false;
        self.shared.changed.notify_all();
    }

    /// Ends every connection and lets new ones through; what was held back is gone.
    pub fn cut(&self) {
        let mut state = self.shared.state();
        state.cuts += 1;
        state.stop = None;
        state.holds = false;
        for connection in state.connections.drain(..) {
            // A connection that has ended already is what is wanted.
            let _ = connection.shutdown(Shutdown::Both);
        }
        self.shared.changed.notify_all();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.cut();
        // Wakes the thread that accepts, so that it sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while this way is stopped; whether the connection is still alive then.
    fn pass(&self, way: Way, cuts: u64) -> bool {
        let is_stopped = |state: &State| {
            let reached = |(stopped, counted, bytes)| stopped == way && state.gone(counted) >= bytes;
            state.cuts == cuts && state.stop.is_some_and(reached)
        };
        let mut state = self.state();
        while is_stopped(&state) {
            state.holds = true;
            self.changed.notify_all();
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.cuts == cuts
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.state().closed {
            return;
        }
        let Ok(client) = client else { continue };
        // A server that is not there: the client's connection ends as this value is dropped.
        let to = shared.state().to.clone();
        let Ok(server) = TcpStream::connect(to) else { continue };
        let _ = connect(client, server, shared);
    }
}

fn connect(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let cuts = {
        let mut state = shared.state();
        state.connections.extend([client.try_clone()?, server.try_clone()?]);
        state.cuts
    };
    let ways = [(Way::Up, client.try_clone()?, server.try_clone()?), (Way::Down, server, client)];
    for (way, from, to) in ways {
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // How a connection ends is the endpoints' business; here it only has to end on both sides.
            let _ = carry(way, &from, &to, &shared, cuts);
            let _ = from.shutdown(Shutdown::Read);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok(())
}

fn carry(way: Way, mut from: &TcpStream, mut to: &TcpStream, shared: &Shared, cuts: u64) -> io::Result<()> {
    let mut buffer = [0; STEP_BYTES];
    loop {
        let bytes = from.read(&mut buffer)?;
        if bytes == 0 || !shared.pass(way, cuts) {
            return Ok(());
        }
        to.write_all(&buffer[..bytes])?;
        let mut state = shared.state();
        match way {
            Way::Up => state.up_bytes += bytes as u64,
            Way::Down => state.down_bytes += bytes as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// An echo server for one connection, and a client's end of a wire to it.
    fn echo() -> (Wire, TcpStream) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let wire = Wire::to(&listener.local_addr().unwrap().to_string()).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                thread::spawn(move || io::copy(&mut &stream, &mut &stream));
            }
        });
        let client = TcpStream::connect(wire.address).unwrap();
        (wire, client)
    }

    #[test]
    fn passes_stops_and_passes_again() {
        let (wire, mut client) = echo();
        let mut answer = [0; 5];
        client.write_all(b"first").unwrap();
        client.read_exact(&mut answer).unwrap();
        for stop in [Wire::stop_requests_after, Wire::stop_answers_after] {
            stop(&wire, 0);
            client.write_all(b"again").unwrap();
            assert!(wire.wait_until_stopped());
            wire.release();
            client.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"again");
        }
    }

    #[test]
    fn a_cut_ends_what_was_held_back_and_the_next_connection_goes_through() {
        let (wire, mut client) = echo();
        wire.stop_answers_after(0);
        client.write_all(b"lost").unwrap();
        assert!(wire.wait_until_stopped());
        wire.cut();
        assert!(!matches!(client.read(&mut [0; 4]), Ok(1..)));
        let mut client = TcpStream::connect(wire.address).unwrap();
        client.write_all(b"heard").unwrap();
        let mut answer = [0; 5];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"heard");
    }
}
