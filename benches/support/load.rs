//! The load generator: some connections, each with one request under way at a time. It shares the machine
//! with what it measures, so it does next to nothing: requests are bytes made beforehand, and an answer's
//! length is read from the first one and then only counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::http::bounds;
use super::machine::cpu_seconds;
use super::stats::quantile;

/// What to send where.
#[derive(Clone)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// Its process.
    pub process: u32,
    /// How many requests a connection goes on after each.
    pub stride: usize,
    /// The requests, in turn; connections begin at different ones.
    pub requests: Arc<Vec<Vec<u8>>>,
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Answers per second.
    pub per_second: f64,
    /// The median time to an answer, in milliseconds.
    pub p50: f64,
    /// The time that one answer in a hundred exceeds, in milliseconds.
    pub p99: f64,
    /// Processor time that the server took for an answer, in microseconds; 0 where there is no server.
    pub cpu: f64,
}

impl Measured {
    /// What these times, in nanoseconds, come to when the first was begun at `from` and the last ends now.
    pub fn of(mut times: Vec<u64>, from: Instant) -> Self {
        let lasting = from.elapsed();
        times.sort_unstable();
        let times: Vec<f64> = times.into_iter().map(|nanos| nanos as f64 / 1e6).collect();
        Self {
            per_second: times.len() as f64 / lasting.as_secs_f64(),
            p50: quantile(&times, 0.5),
            p99: quantile(&times, 0.99),
            cpu: 0.0,
        }
    }
}

impl Load {
    /// Sends for `warm`, then measures for `lasting`. Any answer but 200 ends the bench.
    pub fn run(&self, connections: usize, warm: Duration, lasting: Duration) -> Measured {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let from = Instant::now() + warm;
        let until = from + lasting;
        let (times, cpu) = runtime.block_on(async {
            let all: Vec<_> = (0..connections)
                .map(|at| {
                    let load = self.clone();
                    tokio::spawn(async move { load.connection(at, from, until).await })
                })
                .collect();
            tokio::time::sleep(warm).await;
            let before = cpu_seconds(self.process);
            let mut times = Vec::new();
            for one in all {
                let grace = Duration::from_secs(30);
                let left = until.saturating_duration_since(Instant::now()) + grace;
                let done = tokio::time::timeout(left, one).await.expect("an answer never came to its end");
                times.extend(done.unwrap());
            }
            (times, cpu_seconds(self.process) - before)
        });
        let answers = times.len() as f64;
        Measured { cpu: cpu * 1e6 / answers, ..Measured::of(times, from) }
    }

    /// Sends each request once, shared out among so many connections. Any answer but 200 ends the bench.
    pub fn each_once(&self, connections: usize) -> Measured {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let from = Instant::now();
        let before = cpu_seconds(self.process);
        let times = runtime.block_on(async {
            let all: Vec<_> = (0..connections)
                .map(|at| {
                    let load = self.clone();
                    tokio::spawn(async move { load.share(at, connections).await })
                })
                .collect();
            let mut times = Vec::new();
            for one in all {
                times.extend(one.await.unwrap());
            }
            times
        });
        let answers = times.len() as f64;
        let cpu = (cpu_seconds(self.process) - before) * 1e6 / answers;
        Measured { cpu, ..Measured::of(times, from) }
    }

    async fn share(&self, first: usize, of: usize) -> Vec<u64> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut buffer = vec![0; 16 * 1024];
        let mut times = Vec::new();
        for request in self.requests.iter().skip(first).step_by(of) {
            let began = Instant::now();
            stream.write_all(request).await.unwrap();
            let mut filled = 0;
            loop {
                let read = stream.read(&mut buffer[filled..]).await.unwrap();
                assert!(read > 0, "the server closed the connection");
                filled += read;
                if bounds(&buffer[..filled]).is_some_and(|(_, end)| filled >= end) {
                    break;
                }
            }
            assert!(
                buffer.starts_with(b"HTTP/1.1 200"),
                "not the answer it should be: {}",
                String::from_utf8_lossy(&buffer[..filled])
            );
            times.push(u64::try_from(began.elapsed().as_nanos()).unwrap());
        }
        times
    }

    async fn connection(&self, first: usize, from: Instant, until: Instant) -> Vec<u64> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut lengths = vec![None; self.requests.len()];
        let mut buffer = vec![0; 64 * 1024];
        let mut times = Vec::with_capacity(1 << 16);
        let mut at = first;
        loop {
            let began = Instant::now();
            if began >= until && !times.is_empty() {
                return times;
            }
            let turn = at % self.requests.len();
            stream.write_all(&self.requests[turn]).await.unwrap();
            let mut filled = 0;
            loop {
                let read = stream.read(&mut buffer[filled..]).await.unwrap();
                assert!(read > 0, "the server closed the connection");
                filled += read;
                let length = match lengths[turn] {
                    Some(length) => length,
                    None => match bounds(&buffer[..filled]) {
                        Some((_, end)) => *lengths[turn].insert(end),
                        None => continue,
                    },
                };
                if filled >= length {
                    assert!(
                        filled == length && buffer.starts_with(b"HTTP/1.1 200"),
                        "not the answer it was: {}",
                        String::from_utf8_lossy(&buffer[..filled])
                    );
                    break;
                }
            }
            if began >= from {
                times.push(u64::try_from(began.elapsed().as_nanos()).unwrap());
            }
            at += self.stride;
        }
    }
}
