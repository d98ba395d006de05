//! `tenant members` and `tenant invite`: who belongs to a tenant.

use serde::Deserialize;
use serde_json::json;

use super::Outcome;
use super::args::Extent;
use super::client::Api;
use super::operation::mention_more;
use super::out::Out;
use super::table::Table;
use super::{views, words};

/// A member, as far as people read it.
#[derive(Debug, Deserialize)]
struct Member {
    user_id: String,
    email: String,
    role: String,
    created_at: String,
}

/// An invitation, as far as people read it.
#[derive(Debug, Deserialize)]
struct Invitation {
    id: String,
    email: String,
    role: String,
    expires_at: String,
}

/// Lists a tenant's members.
pub(super) async fn list(api: &Api, out: &Out, tenant: &str, extent: Extent) -> Outcome {
    let page = api.list(&["admin", "v1", "tenants", tenant, "members"], &[], extent).await?;
    if out.json {
        return out.document(&json!({ "data": page.data, "next_cursor": page.next_cursor }));
    }
    let all = page.data.iter().map(views::read::<Member>).collect::<Outcome<Vec<_>>>()?;
    if all.is_empty() {
        return out.say("no members yet; invite one with: tenantry tenant invite TENANT EMAIL");
    }
    let rows = all.into_iter().map(|it| [it.email, it.role, words::moment(&it.created_at), it.user_id]);
    out.say(Table::new(["EMAIL", "ROLE", "SINCE", "ID"], rows).text(out.out))?;
    mention_more(out, page.next_cursor.as_ref(), page.data.len());
    Ok(())
}

/// Mails an invitation.
pub(super) async fn invite(api: &Api, out: &Out, tenant: &str, email: &str, role: &str) -> Outcome {
    let body = json!({ "email": email, "role": role });
    let answer = api.create(&["admin", "v1", "tenants", tenant, "invitations"], body).await?;
    if out.json {
        return out.document(&answer);
    }
    let it: Invitation = views::read(&answer)?;
    out.say(format_args!(
        "{} is invited as {} until {} ({}).",
        words::safe(&it.email),
        it.role,
        words::moment(&it.expires_at),
        it.id
    ))
}
