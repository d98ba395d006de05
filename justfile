# What one does every day. `just` lists it; each line is an ordinary command that works without just.

_list:
    @just --list --unsorted

# Formatting, clippy, licences and advisories, spelling; what is not installed is named and passed over
check:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings
    @command -v cargo-deny >/dev/null && cargo deny --all-features check || echo "no cargo-deny here: cargo install cargo-deny"
    @command -v typos >/dev/null && typos || echo "no typos here: cargo install typos-cli"

# The tests, with nextest where it is installed; PostgreSQL is started when it is not running, and stays half a minute
test *ARGS:
    @if command -v cargo-nextest >/dev/null; then cargo nextest run --locked {{ARGS}}; else cargo test --locked {{ARGS}}; fi

# The whole suite as the README runs it, on two throw-away PostgreSQL clusters
test-pg *ARGS:
    scripts/test {{ARGS}}

# Look at changed snapshots one by one (cargo install cargo-insta)
snap:
    cargo insta test --review

# A new migration of the control store, for both engines under one name
migration NAME:
    #!/usr/bin/env bash
    set -euo pipefail
    [[ '{{NAME}}' =~ ^[a-z][a-z0-9_]*$ ]] || { echo "a name of small letters, digits and _, please"; exit 2; }
    mkdir -p migrations/sqlite migrations/postgres
    last=$(ls migrations/sqlite migrations/postgres | sed -n 's/^\([0-9]\{4\}\)_.*/\1/p' | sort -n | tail -n 1)
    folder=$(printf '%04d_%s' $((10#${last:-0} + 1)) '{{NAME}}')
    for engine in sqlite postgres; do
        mkdir -p "migrations/$engine/$folder"
        for way in up down; do : >> "migrations/$engine/$folder/$way.sql"; echo "migrations/$engine/$folder/$way.sql"; done
    done

# Write the OpenAPI document as the server would give it
openapi:
    cargo run --locked --quiet -- openapi > docs/openapi.json

# The figures of docs and README, on this machine
bench *ARGS:
    cargo bench --locked {{ARGS}}
