//! Slugs: a tenant's short name in URLs and host names. 3 to 40 of `a-z 0-9 -`, starting with a letter
//! and ending with a letter or digit, so that every slug is also a DNS label (RFC 1035).

use serde::{Deserialize, Serialize};

use super::entropy;

/// Shortest slug.
pub const MIN: usize = 3;
/// Longest slug; leaves room in a 63-character DNS label.
pub const MAX: usize = 40;

/// Words no tenant may take: they would shadow our own hosts and paths or pose as the operator.
pub const RESERVED: &[&str] = &[
    "about",
    "account",
    "accounts",
    "admin",
    "administrator",
    "api",
    "app",
    "apps",
    "assets",
    "auth",
    "billing",
    "blog",
    "cdn",
    "config",
    "console",
    "contact",
    "control",
    "dashboard",
    "data",
    "dev",
    "docs",
    "download",
    "email",
    "events",
    "ftp",
    "healthz",
    "help",
    "home",
    "host",
    "hostmaster",
    "imap",
    "info",
    "internal",
    "localhost",
    "login",
    "logout",
    "mail",
    "metrics",
    "news",
    "nobody",
    "null",
    "openapi",
    "operator",
    "operators",
    "portal",
    "postgres",
    "postmaster",
    "private",
    "public",
    "readyz",
    "register",
    "root",
    "sales",
    "secure",
    "security",
    "service",
    "services",
    "settings",
    "shop",
    "signin",
    "signup",
    "smtp",
    "ssl",
    "staff",
    "staging",
    "static",
    "status",
    "store",
    "support",
    "sys",
    "system",
    "tenant",
    "tenantry",
    "tenants",
    "test",
    "undefined",
    "users",
    "webmaster",
    "well-known",
    "wiki",
    "www",
];

/// A normalised, well-formed slug that is not reserved.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

impl Slug {
    /// Normalises (trims, lower-cases) and checks what a person typed.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str, also_reserved: &[String]) -> Result<Self, String> {
        let slug = text.trim().to_lowercase();
        if !(MIN..=MAX).contains(&slug.len()) {
            return Err(format!("a slug has {MIN} to {MAX} characters"));
        }
        if !slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            return Err("a slug holds only the letters a to z, digits and hyphens".into());
        }
        if !slug.starts_with(|first: char| first.is_ascii_lowercase()) || slug.ends_with('-') {
            return Err("a slug starts with a letter and does not end with a hyphen".into());
        }
        if slug.contains("--") {
            return Err("a slug has no two hyphens in a row".into());
        }
        if is_reserved(&slug, also_reserved) {
            return Err(format!("`{slug}` is reserved; choose another"));
        }
        Ok(Self(slug))
    }

    /// Derives a slug from an organisation's name: letters and digits kept, the rest hyphens; common
    /// Latin letters lose their accents. A name that leaves nothing usable gives `org-` and random letters.
    #[must_use]
    pub fn derive(name: &str, also_reserved: &[String]) -> Self {
        let mut text = String::new();
        for letter in name.to_lowercase().chars() {
            match plain(letter) {
                "" => match letter {
                    'a'..='z' | '0'..='9' => text.push(letter),
                    '\'' | '’' => {}
                    _ if !text.is_empty() && !text.ends_with('-') => text.push('-'),
                    _ => {}
                },
                latin => text.push_str(latin),
            }
        }
        let text = text.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
        let text =
            if text.starts_with(|first: char| first.is_ascii_digit()) { format!("org-{text}") } else { text };
        let cut: String = text.chars().take(MAX - 8).collect();
        Self::parse(cut.trim_end_matches('-'), also_reserved).unwrap_or_else(|_| {
            if cut.len() >= 2 {
                Self(format!("{}-org", cut.trim_end_matches('-')))
            } else {
                Self(format!("org-{}", tail()))
            }
        })
    }

    /// The same slug with a short random tail, for when a derived one is taken.
    #[must_use]
    pub fn with_tail(&self) -> Self {
        let head: String = self.0.chars().take(MAX - 7).collect();
        Self(format!("{}-{}", head.trim_end_matches('-'), tail()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_reserved(slug: &str, also: &[String]) -> bool {
    RESERVED.contains(&slug) || also.iter().any(|word| word.eq_ignore_ascii_case(slug))
}

fn tail() -> String {
    entropy::base62(6).to_lowercase()
}

fn plain(letter: char) -> &'static str {
    match letter {
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ą' => "a",
        'ä' | 'æ' => "ae",
        'ç' | 'ć' | 'č' => "c",
        'ď' | 'đ' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ę' | 'ě' => "e",
        'ì' | 'í' | 'î' | 'ï' | 'ī' => "i",
        'ł' | 'ľ' => "l",
        'ñ' | 'ń' | 'ň' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ō' => "o",
        'ö' | 'ø' | 'œ' => "oe",
        'ř' => "r",
        'ś' | 'š' | 'ş' | 'ș' => "s",
        'ß' => "ss",
        'ť' | 'ţ' | 'ț' => "t",
        'ù' | 'ú' | 'û' | 'ū' | 'ů' => "u",
        'ü' => "ue",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        '&' => "-and-",
        _ => "",
    }
}

impl std::fmt::Display for Slug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Slug {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text, &[])
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> Self {
        slug.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_slugs() {
        for (name, slug) in [
            ("Acme, Inc.", "acme-inc"),
            ("Müller & Söhne", "mueller-and-soehne"),
            ("  Ünïcode  ", "uenicode"),
            ("O'Reilly", "oreilly"),
            ("3M", "org-3m"),
            ("Admin", "admin-org"),
        ] {
            assert_eq!(Slug::derive(name, &[]).as_str(), slug, "{name}");
        }
        assert!(Slug::derive("日本", &[]).as_str().starts_with("org-"));
    }

    #[test]
    fn typed_slugs_are_normalised_or_refused() {
        assert_eq!(Slug::parse(" Acme-2 ", &[]).unwrap().as_str(), "acme-2");
        for bad in
            ["", "ab", "-acme", "acme-", "a--b", "a_b", "2fast", "admin", "ADMIN", "acme.io", &"a".repeat(41)]
        {
            assert!(Slug::parse(bad, &[]).is_err(), "{bad}");
        }
        assert!(Slug::parse("mine", &["mine".to_owned()]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn a_derived_slug_is_always_a_slug(name: String) {
            let slug = Slug::derive(&name, &[]);
            proptest::prop_assert!(Slug::parse(slug.as_str(), &[]).is_ok(), "{}", slug);
            let tailed = slug.with_tail();
            proptest::prop_assert!(Slug::parse(tailed.as_str(), &[]).is_ok(), "{}", tailed);
        }
    }
}
