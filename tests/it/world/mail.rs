//! Letters as their readers get them: from the folder of the default transport, or from a mail server that a test
//! starts, stops and tells to misbehave.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use regex::Regex;

use super::server::{Server, eventually};

/// A letter that arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// Whom it went to.
    pub to: String,
    /// All of it.
    pub raw: String,
}

/// A letter with its long lines whole again (RFC 2045, 6.7), as far as letters of ours need it.
fn unfolded(raw: &str) -> String {
    raw.replace("=\r\n", "").replace("=3D", "=")
}

impl Arrived {
    fn first(&self, pattern: &str) -> String {
        let found = Regex::new(pattern).unwrap().captures(&self.raw);
        found.unwrap_or_else(|| panic!("no {pattern} in {}", self.raw))[1].to_owned()
    }

    /// Its subject.
    pub fn subject(&self) -> String {
        self.first(r"(?m)^Subject: (.*?)\r?$")
    }

    /// Its code.
    pub fn code(&self) -> String {
        self.first(r"(?m)^    (\d{8})\r?$")
    }

    /// Its token.
    pub fn token(&self) -> String {
        self.first(r"(?m)^    (tnt_[a-z]{3}_[0-9A-Za-z]{43})\r?$")
    }
}

impl Server {
    /// All letters to this address, oldest first, from the folder.
    pub fn letters(&self, to: &str) -> Vec<Arrived> {
        let entries = std::fs::read_dir(self.data_dir().join("mail")).into_iter().flatten().flatten();
        let mut files: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "eml"))
            .collect();
        files.sort();
        let read =
            |path| Arrived { to: to.to_owned(), raw: unfolded(&std::fs::read_to_string(path).unwrap()) };
        files.into_iter().map(read).filter(|one| one.raw.contains(&format!("\nTo: {to}\r\n"))).collect()
    }

    /// Waits for the letter with this number, from 1, to this address.
    pub async fn letter(&self, to: &str, number: usize) -> Arrived {
        eventually(&format!("letter {number} to {to}"), || async {
            self.letters(to).into_iter().nth(number - 1)
        })
        .await
    }
}

/// How a mail server answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Well,
    /// It knows nobody here.
    NobodyHere,
    /// It takes connections and says nothing.
    Silent,
    /// It hangs up in the middle of a letter.
    CutsOff,
}

/// A mail server of a test's own.
pub struct MailServer {
    /// Its port.
    pub port: u16,
    stop: Arc<AtomicBool>,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl MailServer {
    /// A port that nobody listens on, for a server that is down.
    pub fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    /// Starts one on this port; 0 takes a free one.
    pub fn start(port: u16, manner: Manner) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, arrived) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, inbox) = (Arc::clone(&stop), Arc::clone(&arrived));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let inbox = Arc::clone(&inbox);
                std::thread::spawn(move || drop(talk(&stream, manner, &inbox)));
            }
        });
        Self { port, stop, arrived }
    }

    /// What has arrived.
    pub fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    /// Waits for the letter with this number, from 1.
    pub async fn letter(&self, number: usize) -> Arrived {
        eventually(&format!("letter {number} at the mail server"), || async {
            self.arrived().into_iter().nth(number - 1)
        })
        .await
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

fn talk(stream: &TcpStream, manner: Manner, inbox: &Mutex<Vec<Arrived>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let say = |text: &str| (&*stream).write_all(format!("{text}\r\n").as_bytes());
    if manner == Manner::Silent {
        // Until the other side gives up.
        while lines.next().transpose()?.is_some() {}
        return Ok(());
    }
    say("220 test")?;
    let mut to = String::new();
    while let Some(line) = lines.next().transpose()? {
        let word = line.split([' ', ':']).next().unwrap_or_default().to_uppercase();
        match word.as_str() {
            "EHLO" | "HELO" | "MAIL" | "RSET" | "NOOP" => say("250 fine")?,
            "RCPT" if manner == Manner::NobodyHere => say("550 no such person")?,
            "RCPT" => {
                to = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                say("250 fine")?;
            }
            "DATA" if manner == Manner::CutsOff => return Ok(()),
            "DATA" => {
                say("354 go on")?;
                let mut raw = String::new();
                while let Some(line) = lines.next().transpose()?.filter(|line| line != ".") {
                    raw.push_str(line.strip_prefix("..").map_or(&line, |_| &line[1..]));
                    raw.push_str("\r\n");
                }
                inbox.lock().unwrap().push(Arrived { to: to.clone(), raw: unfolded(&raw) });
                say("250 taken")?;
            }
            "QUIT" => return say("221 bye"),
            _ => say("500 what?")?,
        }
    }
    Ok(())
}
