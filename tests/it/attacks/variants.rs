//! Attacks by chance: what leads in, what wraps, what is aimed at and what trails, put together by a seed that
//! a failing test prints.

/// The variable that repeats a run, its value printed by the run.
pub const SEED: &str = "TENANTRY_TEST_SEED";

/// Where chance begins: the same each time, unless told otherwise.
pub fn seed() -> u64 {
    let told = std::env::var_os(SEED).and_then(|text| text.to_str()?.parse().ok());
    told.unwrap_or(0x7e4a_47a7_1991_0b0d)
}

/// Numbers that follow from a seed (splitmix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(end).unwrap()).unwrap()
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a>(&mut self, from: &'a [String]) -> &'a str {
        &from[self.below(from.len())]
    }
}

/// What an attacker has thought of, for one engine.
pub struct Arsenal {
    /// Statements to be sent as they are.
    pub written: Vec<String>,
    /// Statements that would change or delete whatever is in reach. Sent last: they hit the attacker's own rows.
    pub sweeping: Vec<String>,
    /// Statements that end or block the attacker's own sessions.
    pub noisy: Vec<String>,
    /// Before a statement.
    pub prefixes: Vec<String>,
    /// After it.
    pub suffixes: Vec<String>,
    /// Expressions that try to change who or where one is.
    pub guises: Vec<String>,
    /// Statements with a `{R}` for a relation, a `{W}` for a condition and a `{G}` for a guise.
    pub wrappers: Vec<String>,
    /// Relations.
    pub targets: Vec<String>,
    /// Conditions.
    pub conditions: Vec<String>,
    /// For soup.
    pub tokens: Vec<String>,
}

impl Arsenal {
    /// One attack, never the same twice in a row.
    pub fn by_chance(&self, dice: &mut Dice) -> String {
        if dice.one_in(6) {
            return self.soup(dice);
        }
        let wrapper = if dice.one_in(8) { dice.pick(&self.written) } else { dice.pick(&self.wrappers) };
        let mut sql = wrapper.to_owned();
        if dice.one_in(5) {
            // One wrapper in another, as a relation.
            let inner = dice.pick(&self.wrappers);
            if inner.starts_with("SELECT") || inner.starts_with("WITH") {
                sql = sql.replace("{R}", &format!("({inner}) AS nested"));
            }
        }
        for (place, words) in [("{R}", &self.targets), ("{W}", &self.conditions), ("{G}", &self.guises)] {
            while sql.contains(place) {
                sql = sql.replacen(place, dice.pick(words), 1);
            }
        }
        if dice.one_in(6) {
            sql = odd_case(&sql, dice);
        }
        if dice.one_in(6) {
            sql = sql.replace(
                ' ',
                dice.pick(&["/**/", "\t", "\n", "/* -- */ ", " --x\n", "\u{c}"].map(str::to_owned)),
            );
        }
        if dice.one_in(3) {
            sql.insert_str(0, dice.pick(&self.prefixes));
        }
        if dice.one_in(3) {
            sql.push_str(dice.pick(&self.suffixes));
        }
        if dice.one_in(40) {
            // Cut anywhere: an unterminated whatever.
            let end = dice.below(sql.len());
            let end = (0..=end).rev().find(|at| sql.is_char_boundary(*at)).unwrap_or(0);
            sql.truncate(end);
        }
        sql
    }

    /// Words in no order.
    fn soup(&self, dice: &mut Dice) -> String {
        let first = ["SELECT", "WITH", "VALUES", "INSERT INTO", "UPDATE", "EXPLAIN", "(", ""];
        let mut sql = dice.pick(&first.map(str::to_owned)).to_owned();
        for _ in 0..dice.below(40) {
            let words = if dice.one_in(4) { &self.targets } else { &self.tokens };
            sql.push_str(if dice.one_in(9) { "" } else { " " });
            sql.push_str(dice.pick(words));
        }
        sql
    }
}

fn odd_case(sql: &str, dice: &mut Dice) -> String {
    let flip = |letter: char, dice: &mut Dice| {
        if dice.one_in(2) { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
    };
    sql.chars().map(|letter| flip(letter, dice)).collect()
}

/// Owned, for lists that mix what is fixed with what is made up.
pub fn owned(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

/// A list in one text: its items stand on lines of their own or two spaces apart.
pub fn listed(text: &str) -> Vec<String> {
    text.lines()
        .flat_map(|line| line.split("  "))
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}
