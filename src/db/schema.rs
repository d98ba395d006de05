//! The control store's tables, by hand: one line a column, in the order of the migrations. A test
//! compares them with what the migrations make on both engines.
#![allow(missing_docs, reason = "a column's meaning stands on the type that reads it")]

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    events (seq) {
        seq -> BigInt,
        id -> SqlId,
        txid -> BigInt,
        #[sql_name = "type"]
        kind -> Text,
        version -> Integer,
        tenant_id -> Nullable<SqlId>,
        actor_kind -> Text,
        actor_id -> Text,
        address -> Nullable<Text>,
        request_id -> Nullable<Text>,
        at -> SqlTs,
        data -> SqlJson,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    operations (id) {
        id -> SqlId,
        kind -> Text,
        tenant_id -> Nullable<SqlId>,
        state -> Text,
        input -> SqlJson,
        error -> Nullable<Text>,
        attempt -> Integer,
        next_at -> SqlTs,
        lease_owner -> Nullable<SqlId>,
        lease_until -> Nullable<SqlTs>,
        created_at -> SqlTs,
        updated_at -> SqlTs,
        finished_at -> Nullable<SqlTs>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    operation_steps (operation_id, position) {
        operation_id -> SqlId,
        position -> Integer,
        name -> Text,
        state -> Text,
        attempt -> Integer,
        error -> Nullable<Text>,
        started_at -> Nullable<SqlTs>,
        finished_at -> Nullable<SqlTs>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    idempotency_keys (caller, route, key) {
        caller -> Text,
        route -> Text,
        key -> Text,
        fingerprint -> Binary,
        status -> Integer,
        answer -> Binary,
        expires_at -> SqlTs,
        txid -> Nullable<BigInt>,
        seq -> Nullable<BigInt>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    tenants (id) {
        id -> SqlId,
        slug -> Text,
        name -> Text,
        state -> Text,
        plan -> Text,
        isolation -> Text,
        cluster -> Text,
        region -> Nullable<Text>,
        rev -> BigInt,
        created_at -> SqlTs,
        updated_at -> SqlTs,
        suspended_at -> Nullable<SqlTs>,
        suspend_reason -> Nullable<Text>,
        delete_at -> Nullable<SqlTs>,
        deleted_at -> Nullable<SqlTs>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    placements (tenant_id) {
        tenant_id -> SqlId,
        state -> Text,
        cluster -> Text,
        isolation -> Text,
        database_name -> Text,
        schema_name -> Text,
        role_name -> Nullable<Text>,
        password -> Nullable<Binary>,
        generation -> BigInt,
        app_version -> Text,
        created_at -> SqlTs,
        updated_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    users (id) {
        id -> SqlId,
        email -> Text,
        password_hash -> Nullable<Text>,
        created_at -> SqlTs,
        updated_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    memberships (tenant_id, user_id) {
        tenant_id -> SqlId,
        user_id -> SqlId,
        role -> Text,
        created_at -> SqlTs,
        rev -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    signing_keys (kid) {
        kid -> Text,
        private_key -> Binary,
        public_key -> Binary,
        created_at -> SqlTs,
        active_at -> SqlTs,
        retired_at -> Nullable<SqlTs>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    key_uses (key_id) {
        key_id -> SqlId,
        used_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    keys (id) {
        id -> SqlId,
        kind -> Text,
        tenant_id -> Nullable<SqlId>,
        name -> Text,
        hash -> Binary,
        prefix -> Text,
        role -> Nullable<Text>,
        scopes -> SqlJson,
        rev -> BigInt,
        created_by -> Text,
        created_at -> SqlTs,
        expires_at -> Nullable<SqlTs>,
        revoked_at -> Nullable<SqlTs>,
        environment -> Text,
        metadata -> SqlJson,
        rate_per_s -> Nullable<Integer>,
        rate_burst -> Nullable<Integer>,
        disabled_at -> Nullable<SqlTs>,
        successor_id -> Nullable<SqlId>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    signups (id) {
        id -> SqlId,
        tenant_id -> SqlId,
        user_id -> SqlId,
        operation_id -> SqlId,
        verification -> Text,
        created_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    sessions (id) {
        id -> SqlId,
        kind -> Text,
        user_id -> Nullable<SqlId>,
        tenant_id -> Nullable<SqlId>,
        operator_id -> Nullable<SqlId>,
        role -> Nullable<Text>,
        actor_kind -> Nullable<Text>,
        actor_id -> Nullable<Text>,
        reason -> Nullable<Text>,
        address -> Nullable<Text>,
        user_agent -> Nullable<Text>,
        created_at -> SqlTs,
        used_at -> SqlTs,
        expires_at -> SqlTs,
        ended_at -> Nullable<SqlTs>,
        end_reason -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    refresh_tokens (hash) {
        hash -> Binary,
        session_id -> SqlId,
        created_at -> SqlTs,
        spent_at -> Nullable<SqlTs>,
        spent_from -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    totp_factors (person_id) {
        person_id -> SqlId,
        secret -> Binary,
        created_at -> SqlTs,
        confirmed_at -> Nullable<SqlTs>,
        last_step -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    recovery_codes (person_id, hash) {
        person_id -> SqlId,
        hash -> Binary,
        used_at -> Nullable<SqlTs>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    operator_users (id) {
        id -> SqlId,
        email -> Text,
        role -> Text,
        password_hash -> Nullable<Text>,
        setup_hash -> Nullable<Binary>,
        setup_expires_at -> Nullable<SqlTs>,
        created_by -> Text,
        created_at -> SqlTs,
        updated_at -> SqlTs,
        disabled_at -> Nullable<SqlTs>,
        rev -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    invitations (id) {
        id -> SqlId,
        tenant_id -> SqlId,
        email -> Text,
        role -> Text,
        state -> Text,
        token_hash -> Binary,
        invited_by -> Text,
        user_id -> Nullable<SqlId>,
        rev -> BigInt,
        created_at -> SqlTs,
        updated_at -> SqlTs,
        sent_at -> SqlTs,
        expires_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    pending_owners (signup_id) {
        signup_id -> SqlId,
        tenant_id -> SqlId,
        operation_id -> SqlId,
        email -> Text,
        password_hash -> Text,
        code_hash -> Binary,
        tries -> Integer,
        sends -> Integer,
        sent_at -> SqlTs,
        created_at -> SqlTs,
        expires_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    password_resets (user_id) {
        user_id -> SqlId,
        token_hash -> Binary,
        created_at -> SqlTs,
        expires_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    email_changes (user_id) {
        user_id -> SqlId,
        email -> Text,
        code_hash -> Binary,
        tries -> Integer,
        created_at -> SqlTs,
        expires_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    mails (id) {
        id -> SqlId,
        tenant_id -> Nullable<SqlId>,
        operation_id -> SqlId,
        letter -> Binary,
        created_at -> SqlTs,
        expires_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    quota_counters (tenant_id, meter, per, window_start) {
        tenant_id -> SqlId,
        meter -> Text,
        per -> Text,
        window_start -> SqlTs,
        used -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    quota_takes (tenant_id, key) {
        tenant_id -> SqlId,
        key -> Text,
        feature -> Text,
        amount -> BigInt,
        outcome -> SqlJson,
        expires_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    quota_thresholds (tenant_id, feature, per, window_start, percent) {
        tenant_id -> SqlId,
        feature -> Text,
        per -> Text,
        window_start -> SqlTs,
        percent -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    entitlement_overrides (id) {
        id -> SqlId,
        tenant_id -> SqlId,
        feature -> Text,
        value -> Nullable<SqlJson>,
        starts_at -> SqlTs,
        ends_at -> Nullable<SqlTs>,
        reason -> Text,
        created_by -> Text,
        created_at -> SqlTs,
        ended_by -> Nullable<Text>,
        rev -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    plan_versions (id) {
        id -> SqlId,
        key -> Text,
        number -> Integer,
        spec -> SqlJson,
        created_at -> SqlTs,
        created_by -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    plans (key) {
        key -> Text,
        position -> Integer,
        current_id -> SqlId,
        archived_at -> Nullable<SqlTs>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    catalogues (number) {
        number -> BigInt,
        terms -> SqlJson,
        created_at -> SqlTs,
        created_by -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    subscriptions (tenant_id) {
        tenant_id -> SqlId,
        id -> SqlId,
        version_id -> SqlId,
        state -> Text,
        time_zone -> Text,
        anchor_at -> SqlTs,
        periods -> Integer,
        period_start -> SqlTs,
        period_end -> SqlTs,
        trial_ends_at -> Nullable<SqlTs>,
        cancel_at -> Nullable<SqlTs>,
        canceled_at -> Nullable<SqlTs>,
        paused_at -> Nullable<SqlTs>,
        pending_plan -> Nullable<Text>,
        unpaid_since -> Nullable<SqlTs>,
        wanted_isolation -> Nullable<Text>,
        next_at -> Nullable<SqlTs>,
        rev -> BigInt,
        created_at -> SqlTs,
        updated_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    invoices (id) {
        id -> SqlId,
        number -> Text,
        tenant_id -> SqlId,
        subscription_id -> Nullable<SqlId>,
        customer -> Text,
        state -> Text,
        currency -> Text,
        subtotal -> BigInt,
        total -> BigInt,
        period_start -> SqlTs,
        period_end -> SqlTs,
        due_at -> SqlTs,
        paid_at -> Nullable<SqlTs>,
        payment_reference -> Nullable<Text>,
        voided_at -> Nullable<SqlTs>,
        void_reason -> Nullable<Text>,
        rev -> BigInt,
        created_at -> SqlTs,
        updated_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    invoice_lines (invoice_id, position) {
        invoice_id -> SqlId,
        position -> Integer,
        kind -> Text,
        description -> Text,
        quantity -> BigInt,
        unit_price -> BigInt,
        amount -> BigInt,
        period_start -> Nullable<SqlTs>,
        period_end -> Nullable<SqlTs>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    invoice_numbers (year) {
        year -> Integer,
        last -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    billing_accounts (tenant_id) {
        tenant_id -> SqlId,
        customer_ref -> Nullable<Text>,
        subscription_ref -> Nullable<Text>,
        item_ref -> Nullable<Text>,
        status -> Nullable<Text>,
        status_at -> Nullable<SqlTs>,
        wanted -> SqlJson,
        wanted_rev -> BigInt,
        synced_rev -> BigInt,
        round -> Integer,
        operation_id -> Nullable<SqlId>,
        created_at -> SqlTs,
        updated_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    billing_payments (id) {
        id -> SqlId,
        tenant_id -> SqlId,
        reference -> Text,
        currency -> Text,
        amount -> BigInt,
        unapplied -> BigInt,
        created_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    billing_events (id) {
        id -> Text,
        kind -> Text,
        sent_at -> SqlTs,
        received_at -> SqlTs,
    }
}

diesel::joinable!(key_uses -> keys (key_id));

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    usage_events (seq) {
        seq -> BigInt,
        txid -> BigInt,
        tenant_id -> SqlId,
        key -> Binary,
        source -> Text,
        id -> Text,
        #[sql_name = "type"]
        kind -> Text,
        at -> SqlTs,
        received_at -> SqlTs,
        counts -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    usage_generations (generation) {
        generation -> BigInt,
        state -> Text,
        txid -> BigInt,
        seq -> BigInt,
        raw_from -> SqlTs,
        started_at -> SqlTs,
        paused_at -> Nullable<SqlTs>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    usage_rollups (generation, tenant_id, meter, hour, grp) {
        generation -> BigInt,
        tenant_id -> SqlId,
        meter -> Text,
        hour -> SqlTs,
        grp -> Text,
        events -> BigInt,
        total -> BigInt,
        most -> BigInt,
        last_at -> SqlTs,
        last_seq -> BigInt,
        last_value -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    usage_uniques (generation, tenant_id, meter, hour, grp, value) {
        generation -> BigInt,
        tenant_id -> SqlId,
        meter -> Text,
        hour -> SqlTs,
        grp -> Text,
        value -> Binary,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    events,
    operations,
    operation_steps,
    idempotency_keys,
    tenants,
    placements,
    users,
    memberships,
    signing_keys,
    keys,
    key_uses,
    signups,
    sessions,
    refresh_tokens,
    invitations,
    pending_owners,
    password_resets,
    email_changes,
    mails,
    invoices,
    invoice_lines,
    invoice_numbers,
    billing_accounts,
    billing_payments,
    billing_events,
    totp_factors,
    recovery_codes,
    operator_users,
    quota_counters,
    quota_takes,
    quota_thresholds,
    usage_events,
    usage_generations,
    usage_rollups,
    usage_uniques,
    entitlement_overrides,
    plan_versions,
    plans,
    catalogues,
    subscriptions
);

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    followers (name) {
        name -> Text,
        txid -> BigInt,
        seq -> BigInt,
        paused_at -> Nullable<SqlTs>,
        fence -> BigInt,
        lease_owner -> Nullable<SqlId>,
        lease_until -> Nullable<SqlTs>,
        updated_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    projection_generations (name, generation) {
        name -> Text,
        generation -> BigInt,
        state -> Text,
        txid -> BigInt,
        seq -> BigInt,
        started_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    directory_tenants (generation, tenant_id) {
        generation -> BigInt,
        tenant_id -> SqlId,
        slug -> Text,
        name -> Text,
        sort_name -> Text,
        state -> Text,
        suspended -> Bool,
        plan -> Text,
        plan_version -> Nullable<Integer>,
        isolation -> Nullable<Text>,
        cluster -> Text,
        region -> Nullable<Text>,
        members -> BigInt,
        keys -> BigInt,
        leaving -> SqlJson,
        created_at -> SqlTs,
        last_activity_at -> SqlTs,
        deleted_at -> Nullable<SqlTs>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    activity_lines (generation, tenant_id, txid, seq) {
        generation -> BigInt,
        tenant_id -> SqlId,
        txid -> BigInt,
        seq -> BigInt,
        event_id -> SqlId,
        kind -> Text,
        at -> SqlTs,
        actor_kind -> Text,
        actor_id -> Text,
        in_stead_of -> Nullable<Text>,
        operators_only -> Bool,
        line -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    webhook_endpoints (id) {
        id -> SqlId,
        tenant_id -> SqlId,
        url -> Text,
        description -> Text,
        types -> SqlJson,
        ordered -> Bool,
        rate_limit -> Nullable<Integer>,
        sealed -> Binary,
        rev -> BigInt,
        created_at -> SqlTs,
        updated_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    webhook_queues (endpoint_id) {
        endpoint_id -> SqlId,
        tenant_id -> SqlId,
        enabled -> Bool,
        disabled_at -> Nullable<SqlTs>,
        disabled_reason -> Nullable<Text>,
        due_at -> Nullable<SqlTs>,
        open_until -> Nullable<SqlTs>,
        failing_since -> Nullable<SqlTs>,
        failures -> Integer,
        paced -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    webhook_messages (id) {
        id -> SqlId,
        tenant_id -> SqlId,
        #[sql_name = "type"]
        kind -> Text,
        body -> Text,
        txid -> BigInt,
        seq -> BigInt,
        at -> SqlTs,
        created_at -> SqlTs,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    webhook_deliveries (id) {
        id -> SqlId,
        endpoint_id -> SqlId,
        tenant_id -> SqlId,
        message_id -> SqlId,
        #[sql_name = "type"]
        kind -> Text,
        state -> Text,
        step -> Integer,
        attempts -> Integer,
        next_at -> SqlTs,
        fence -> BigInt,
        txid -> BigInt,
        seq -> BigInt,
        status -> Nullable<Integer>,
        error -> Nullable<Text>,
        created_at -> SqlTs,
        finished_at -> Nullable<SqlTs>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    webhook_attempts (delivery_id, number) {
        delivery_id -> SqlId,
        number -> Integer,
        at -> SqlTs,
        duration_ms -> BigInt,
        status -> Nullable<Integer>,
        error -> Nullable<Text>,
        response -> Nullable<Text>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    webhook_endpoints,
    webhook_queues,
    webhook_messages,
    webhook_deliveries,
    webhook_attempts
);

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    audit_seals (position) {
        position -> BigInt,
        txid -> BigInt,
        seq -> BigInt,
        event_id -> SqlId,
        hash -> Binary,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::kernel::sql::*;

    audit_head (id) {
        id -> Integer,
        position -> BigInt,
        txid -> BigInt,
        seq -> BigInt,
        hash -> Binary,
    }
}
