//! What a bench is told on its command line.

/// The options of every bench.
pub struct Options {
    /// A smoke run: every path once, figures that mean little.
    pub quick: bool,
    /// Print the figures as one JSON object as well.
    pub json: bool,
    /// Only cases whose name holds this.
    pub only: Option<String>,
    /// Our server's `log.level`.
    pub log: String,
    /// Where our server keeps its control store, when the bench can choose: `sqlite` or `postgres`.
    pub store: String,
    rounds: Option<usize>,
}

impl Options {
    /// Reads the command line. `None` without any argument: `cargo test --all-targets` runs benches so, and
    /// they must not run then; `cargo bench` passes `--bench`.
    pub fn parse() -> Option<Self> {
        let mut all = std::env::args().skip(1).peekable();
        if all.peek().is_none() {
            println!("not run: start it with `cargo bench`, or with --bench");
            return None;
        }
        let mut options = Self {
            quick: false,
            json: false,
            only: None,
            log: "info".to_owned(),
            store: "sqlite".to_owned(),
            rounds: None,
        };
        while let Some(one) = all.next() {
            let mut value = || all.next().unwrap_or_else(|| panic!("{one} needs a value"));
            match one.as_str() {
                "--bench" => {}
                "--quick" => options.quick = true,
                "--json" => options.json = true,
                "--only" => options.only = Some(value()),
                "--log" => options.log = value(),
                "--store" => options.store = value(),
                "--rounds" => options.rounds = Some(value().parse().expect("--rounds takes a number")),
                other => panic!(
                    "no option {other}: there are --quick, --json, --only TEXT, --rounds N, --log LEVEL, --store ENGINE"
                ),
            }
        }
        Some(options)
    }

    /// How often both sides take their turn.
    pub fn rounds(&self, usual: usize) -> usize {
        self.rounds.unwrap_or(if self.quick { 1 } else { usual })
    }

    /// Whether a case of this name is wanted.
    pub fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|part| name.contains(part.as_str()))
    }
}
