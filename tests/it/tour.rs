//! The README's tour, run as written: its `sh` blocks in order, in one shell, against the real program. What
//! the README shows as an answer has to be the answer; `…` there stands for anything.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::in_every_model;
use crate::world::server::wait_for;
use crate::world::sqlite::Folder;

const README: &str = include_str!("../../README.md");
const HEADING: &str = "## A five-minute tour";
/// The lines that differ here: how the program is started, and on which port it listens.
const START: &str = "cargo run";
const ADDRESS: &str = "URL=http://127.0.0.1:8080";

/// Commands, and what the README says they print.
struct Stop {
    commands: String,
    answer: Option<String>,
}

/// The fenced blocks of a page with their language, in order.
pub fn blocks(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some((_, block)), None) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

fn tour() -> Vec<Stop> {
    let (_, after) = README.split_once(HEADING).expect("the README has its tour");
    let section = after.split_once("\n## ").map_or(after, |(section, _)| section);
    let mut stops: Vec<Stop> = Vec::new();
    for (language, text) in blocks(section) {
        match language.as_str() {
            "sh" => stops.push(Stop { commands: text, answer: None }),
            "text" => {
                let last = stops.last_mut().expect("an answer follows commands");
                assert!(last.answer.replace(text).is_none(), "two answers to {}", last.commands);
            }
            other => panic!("the tour has a block of {other}: sh for commands, text for answers"),
        }
    }
    let start = stops.remove(0);
    assert_eq!(start.commands.trim(), START, "the tour begins by starting the server");
    stops
}

/// Walks the whole tour in `folder` and answers what each stop printed.
fn walk(stops: &[Stop], url: &str, folder: &Path) -> Vec<String> {
    const MARK: &str = "@@ end of a stop @@";
    let commands: Vec<_> = stops.iter().map(|stop| stop.commands.as_str()).collect();
    let script = commands.join(&format!("echo '{MARK}'\n"));
    assert_eq!(
        script.lines().filter(|line| *line == ADDRESS).count(),
        1,
        "one line says where the server is"
    );
    let script = script.replace(ADDRESS, &format!("URL={url}"));
    let run = Command::new("sh")
        .args(["-eu", "-c", &script])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, errors) = (String::from_utf8(run.stdout).unwrap(), String::from_utf8_lossy(&run.stderr));
    let printed: Vec<String> = out.split(&format!("{MARK}\n")).map(str::to_owned).collect();
    let at = printed.len() - 1;
    assert!(run.status.success(), "{} at:\n{}\n{}\n{errors}", run.status, stops[at].commands, printed[at]);
    assert_eq!(printed.len(), stops.len());
    printed
}

/// Whether `printed` is what the README shows.
fn shows(answer: &str, printed: &str) -> bool {
    let pieces: Vec<_> = answer.trim().split('…').map(regex::escape).collect();
    regex::Regex::new(&format!("^(?s:{})$", pieces.join(".*"))).unwrap().is_match(printed.trim())
}

/// The program as `cargo run` starts it in a fresh clone, but for the port.
struct Running {
    child: Child,
    folder: Folder,
    url: String,
}

impl Running {
    fn start() -> Self {
        let folder = Folder::new();
        let clone = Path::new(env!("CARGO_MANIFEST_DIR"));
        for shared in ["examples", "config"] {
            std::os::unix::fs::symlink(clone.join(shared), folder.path().join(shared)).unwrap();
        }
        let log = std::fs::File::create(folder.path().join("server.log")).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tenantry"))
            .current_dir(folder.path())
            .env_clear()
            .env("TENANTRY_SERVER__BIND", "127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let said = || std::fs::read_to_string(folder.path().join("server.log")).unwrap();
        // The last words of the start: by then everything it prints is there.
        wait_for(Duration::from_secs(60), "the server to say what to try", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", said());
            }
            said().contains("/docs\n\n").then_some(())
        });
        let address = std::fs::read_to_string(folder.path().join("data/server.addr")).unwrap();
        Self { child, url: format!("http://{address}"), folder }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the server said ---\n{}", self.log());
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn the_tour_works_as_written_and_answers_as_shown() {
    let (stops, server) = (tour(), Running::start());
    let printed = walk(&stops, &server.url, server.folder.path());
    for (stop, printed) in stops.iter().zip(&printed) {
        match &stop.answer {
            Some(answer) => {
                assert!(shows(answer, printed), "{}\nshows\n{answer}\nbut it is\n{printed}", stop.commands);
            }
            None => {
                assert_eq!(printed, "", "{}\nprints something that the README does not show", stop.commands)
            }
        }
    }
    assert!(stops.iter().filter(|stop| stop.answer.is_some()).count() > 8);
}

in_every_model! {
    async fn the_tour_is_the_same_in_every_model(scene) {
        let (server, _database) = scene.server();
        let folder = server.data_dir().parent().unwrap().to_path_buf();
        let url = server.url.clone();
        let printed = tokio::task::spawn_blocking(move || walk(&tour(), &url, &folder)).await.unwrap();
        assert!(printed.iter().any(|text| text.contains(&format!("\"isolation\":\"{}\"", scene.isolation))));
    }
}

#[test]
fn what_the_start_says_to_try_next_works() {
    let server = Running::start();
    let said = server.log();
    let (_, next) = said.split_once("Try next:\n").expect("the start says what to try next");
    let commands: Vec<_> = next.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    assert_eq!(commands.len(), 3, "{said}");
    let run = |command: &str| {
        let run = Command::new("sh").args(["-eu", "-c", command]).current_dir(server.folder.path()).output();
        let run = run.unwrap();
        assert!(run.status.success(), "{command}: {}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8(run.stdout).unwrap()
    };
    assert!(run(commands[0]).contains(r#""slug":"acme""#), "{}", commands[0]);
    assert!(run(commands[1]).contains(r#""slug":"acme""#), "{}", commands[1]);
    // Here is no browser: what it would open has to be a page.
    let page = commands[2].strip_prefix("open ").expect("the third opens a page");
    assert!(run(&format!("curl -sSL --fail-with-body {page}")).contains("<html"), "{page}");
}

#[test]
fn an_answer_is_compared_piece_by_piece() {
    assert!(shows("{\"id\":\"op_…\",…}", "{\"id\":\"op_1\",\"a\":\n1}\n"));
    assert!(!shows("{\"id\":\"op_…\"}", "{\"id\":\"op_1\",\"a\":1}"));
    assert!(!shows("[1]", "[2]"));
}
