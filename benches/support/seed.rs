//! Tenants and keys by the hundred thousand, written into an embedded store past the server.

use std::path::Path;

use rusqlite::params;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::http::encode;

const CROCKFORD: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

fn crockford(id: u128) -> String {
    (0..26).rev().map(|digit| char::from(CROCKFORD[((id >> (digit * 5)) & 31) as usize])).collect()
}

/// A UUIDv7's bits, in the order of `number`, apart by `salt`.
fn uuid(number: usize, salt: u128) -> u128 {
    let time = 0x0190_0000_0000_u128 + number as u128;
    (time << 80) | (7 << 76) | (2 << 62) | (salt << 48) | number as u128
}

/// The text of the key `number`.
pub fn key(number: usize) -> String {
    let random = Sha256::digest(number.to_le_bytes());
    let secret: String =
        random.iter().cycle().take(43).map(|byte| char::from(BASE62[usize::from(byte % 62)])).collect();
    let body = format!("tnt_live_{}_{secret}", crockford(uuid(number, 2)));
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut sum = [b'0'; 6];
    for digit in sum.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    format!("{body}{}", String::from_utf8_lossy(&sum))
}

/// Writes `tenants` tenants with `keys` keys, each key the next tenant's in turn. The store must be there, and
/// nobody at work on it.
pub fn fill(store: &Path, tenants: usize, keys: usize) {
    let mut store = rusqlite::Connection::open(store).unwrap();
    store.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -400000").unwrap();
    let all = store.transaction().unwrap();
    {
        let mut tenant = all
            .prepare(
                "INSERT INTO tenants (id, slug, name, state, plan, isolation, cluster, rev, created_at, updated_at) \
                 VALUES (?1, ?2, ?2, 'active', 'free', 'database', 'main', 1, 0, 0)",
            )
            .unwrap();
        let mut placement = all
            .prepare(
                "INSERT INTO placements (tenant_id, state, cluster, isolation, database_name, schema_name, \
                 generation, app_version, created_at, updated_at) \
                 VALUES (?1, 'assigned', 'main', 'database', ?2, 'main', 1, '0002_tags', 0, 0)",
            )
            .unwrap();
        let mut subscription = all
            .prepare(
                "INSERT INTO subscriptions (tenant_id, id, version_id, state, time_zone, anchor_at, periods, \
                 period_start, period_end, rev, created_at, updated_at) \
                 SELECT ?1, ?2, current_id, 'active', 'UTC', 0, 1, 0, 4102444800000000, 1, 0, 0 \
                 FROM plans WHERE key = 'free'",
            )
            .unwrap();
        for number in 0..tenants {
            let id = uuid(number, 1);
            tenant.execute(params![id.to_be_bytes(), format!("tenant-{number}")]).unwrap();
            placement.execute(params![id.to_be_bytes(), format!("tenant_{}.db", crockford(id))]).unwrap();
            subscription.execute(params![id.to_be_bytes(), uuid(number, 3).to_be_bytes()]).unwrap();
        }
        let mut insert = all
            .prepare(
                "INSERT INTO keys (id, kind, tenant_id, name, hash, prefix, scopes, rev, created_by, created_at) \
                 VALUES (?1, 'tenant', ?2, 'bench', ?3, 'tnt_live_', '[\"data:read\",\"data:write\"]', 1, 'bench', 0)",
            )
            .unwrap();
        for number in 0..keys {
            let hash: [u8; 32] = Sha256::digest(key(number).as_bytes()).into();
            let tenant = uuid(number % tenants, 1).to_be_bytes();
            insert.execute(params![uuid(number, 2).to_be_bytes(), tenant, hash]).unwrap();
        }
    }
    all.commit().unwrap();
}

/// The request that verifies the key `number`.
pub fn verify(service: &str, number: usize) -> Vec<u8> {
    let body = json!({ "key": key(number), "scopes": ["data:read"] });
    encode("POST", "/v1/api-keys/verify", Some(service), Some(&body))
}
